/** Videos in the larger view: from the moment of a scene on; the picture stays where none can be played. */

import { fileName, h, icon, iconButton } from "./dom.js";
import { toast } from "./notices.js";

/** A moment as people write it. @param {number} time_s */
export function clock(time_s) {
  const whole = Math.floor(time_s);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, at) => (at ? String(part).padStart(2, "0") : String(part))).join(":");
}

/** A scene's file and moment: "clip.mp4 at 0:12". @param {{path: string, time_s?: number|null}} hit */
export const sceneName = (hit) =>
  `${fileName(hit.path).replace(/#t=[\d.]+$/, "")} at ${clock(hit.time_s ?? 0)}`;

/**
 * The button that plays a video over its picture.
 * @param {HTMLElement} photo @param {string} address @param {number|null|undefined} time_s @param {string} name
 */
export function playButton(photo, address, time_s, name) {
  const label = time_s ? `Play from ${clock(time_s)}` : "Play";
  return h(
    "button",
    {
      type: "button",
      class: "button play-button",
      title: `${label} (p)`,
      on: {
        click: () => play(photo, address, time_s ?? 0, name),
      },
    },
    icon("play"),
    label,
  );
}

/** Plays a video in place of its picture. @param {HTMLElement} photo @param {string} address @param {number} time_s @param {string} name */
function play(photo, address, time_s, name) {
  if (photo.querySelector("video")) return;
  const video = /** @type {HTMLVideoElement} */ (
    h("video", { controls: "", playsinline: "", preload: "metadata", "aria-label": name })
  );
  const stop = () => {
    video.pause();
    video.removeAttribute("src");
    video.load();
    shell.remove();
    photo.classList.remove("playing");
  };
  const shell = h(
    "div",
    { class: "player" },
    video,
    iconButton("cross", "Show the picture", stop, { class: "quiet stop-button" }),
  );
  shell.addEventListener("pointerdown", (event) => event.stopPropagation());
  video.addEventListener("loadedmetadata", () => {
    if (Math.abs(video.currentTime - time_s) > 0.05) video.currentTime = time_s;
    video.play().catch(() => undefined); // a browser that wants a click: the controls are there
  });
  video.addEventListener("error", () => {
    if (!shell.isConnected) return;
    stop();
    toast(`This browser cannot play ${name}. The picture at that moment is shown.`);
  });
  video.src = address;
  photo.append(shell);
  photo.classList.add("playing");
}
