"""The image tower in eager torch float32: the baseline of encoder.py, which starts it.

    python torch_tower.py BACKBONE_SIZE MEMBERS BATCH N

Prints a JSON list: milliseconds a picture of N batches. Needs torch and what `training/` needs;
imports nothing of Relook, so that any interpreter will do.
"""

import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "training"))

from backbone import Backbone
from eye import N_SEEN, Eye
from towers import Committee, Member


def main() -> None:
    """Times the tower with published backbone weights and untrained heads."""
    size, members, batch, n = map(int, sys.argv[1:])
    backbone = Backbone(size)
    eye = Eye(backbone).eval()
    heads = [Member(torch.zeros(N_SEEN), torch.ones(N_SEEN)) for _ in range(members)]
    committee = Committee(heads, backbone.classifier).eval()
    pixels = torch.randint(0, 256, (batch, 224, 224, 3), dtype=torch.uint8)
    taken = []
    with torch.inference_mode():
        for at in range(n + 2):
            began = time.perf_counter()
            committee.see(eye(pixels))
            if at >= 2:
                taken.append((time.perf_counter() - began) * 1e3 / batch)
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
