// Made by pages/page_types.py from the API's OpenAPI document; do not edit.

declare namespace Api {
  /** Pictures that are away for one reason. */
  type Absence = {
    place: string;
    reason: string;
    n: number;
  };

  /** An answer; the same object is the event `answer` of a stream. */
  type AskAnswer = {
    ask_id: string;
    question: string;
    text: string;
    citations: number[];
    invented: number[];
    finish: "done" | "length" | "refused" | "cut_off";
    model: string;
    evidence: Record<string, any>;
    without: Record<string, any> | null;
    sent: Record<string, any>[];
    stages: Record<string, number>;
    took_s: number;
  };

  /** A question about an image of a library, an upload, an address, or a picture asked before. */
  type AskBody = {
    library_id?: string | null;
    image_id?: number | null;
    picture?: string | null;
    url?: string | null;
    ask_id?: string | null;
    question?: string;
    providers?: string[] | null;
    model?: string | null;
    when?: "always" | "never" | "auto" | null;
    form?: "text" | "sheet" | "screenshot" | null;
    compare?: boolean | null;
    strike?: number[];
    pin?: number[];
    allow_upload?: boolean;
    stream?: boolean;
  };

  type AskChoice = {
    name: string;
    summary: string;
    remote: boolean;
  };

  /** What this server may be asked with. */
  type AskChoices = {
    providers: AskChoice[];
    models: string[];
    hosts: Record<string, string>;
    default_model: string;
    default_providers: string[];
    may_allow_upload: boolean;
    consent: string[];
  };

  type Body_add_picture_api_v1_libraries__library_id__pictures_post = {
    file: string;
  };

  type Body_search_picture_api_v1_libraries__library_id__search_picture_post = {
    file: string;
    query?: string;
    limit?: number | null;
  };

  type Body_uploads_api_v1_libraries__library_id__uploads_post = {
    files: string[];
  };

  /** Where an image is now, and where the ranking before would have put it on this page. */
  type Changes = {
    rank: number;
    rank_before: number | null;
  };

  type EmbedBody = {
    texts: string[];
  };

  type Embeddings = {
    dim: number;
    vectors: number[][];
  };

  /** The one shape of every error. */
  type ErrorAnswer = {
    error: ErrorBody;
  };

  /** What happened and what to do next. */
  type ErrorBody = {
    code: string;
    message: string;
    hint: string;
  };

  type Fields = {
    fields: string[];
  };

  type HeatMap = {
    cells: number[][];
    min: number;
    max: number;
  };

  /** An image that was found. */
  type Hit = {
    image_id: number;
    path: string;
    score: number;
    tile: number[];
    title: string;
    caption: string;
    width_px: number;
    height_px: number;
    folded: number[];
    away?: string | null;
    thumbnail: string;
    file: string;
  };

  /** What the library knows of an image. */
  type ImageAnswer = {
    image_id: number;
    path: string;
    title: string;
    caption: string;
    width_px: number;
    height_px: number;
    format: string;
    size_bytes: number;
    metadata: Record<string, any>;
    content: string;
    thumbnail: string;
    file: string;
  };

  type Imported = {
    session_id: string;
    notes: string[];
  };

  type IndexBody = {
    paths?: string[];
  };

  type Influence = {
    judgement_id: number;
    raised: Moved[];
    lowered: Moved[];
  };

  /** A run of indexing. */
  type Job = {
    job_id: string;
    library_id: string;
    state: "running" | "paused" | "done" | "failed" | "stopped";
    stage: string;
    done: number;
    total: number;
    rate_per_s: number;
    left_s: number | null;
    n_skipped: number;
    report: Record<string, any> | null;
    error: ErrorBody | null;
  };

  /** Several marks: all of them are made, or none. */
  type JudgeAllBody = {
    judgements: JudgeBody[];
  };

  /** A mark on an image, or on a box in it. */
  type JudgeBody = {
    image_id: number;
    relevant: boolean;
    box?: [number, number, number, number] | null;
    caption?: string | null;
    weight?: number;
  };

  /** A mark; `caption` null by `captioner` means that it is still being written. */
  type Judgement = {
    judgement_id: number;
    round: number;
    image_id: number;
    relevant: boolean;
    box: number[] | null;
    caption: string | null;
    caption_by: string;
    weight: number;
    led_to: number | null;
  };

  type Judgements = {
    judgements: Judgement[];
  };

  type Libraries = {
    libraries: Library[];
  };

  /** One library and what it holds. */
  type Library = {
    library_id: string;
    name: string;
    n_images: number;
    n_tiles: number;
    n_away: number;
    away: Absence[];
    n_skipped: number;
    encoder: string;
    dim: number;
    roots: string[];
    folders: string[];
    n_bytes: number;
    job_id: string | null;
    limit: number;
    strategy: string;
    keep_shown: boolean;
  };

  type Moved = {
    image_id: number;
    path: string;
    change: number;
    rank: number;
    rank_without: number;
  };

  /** Hits, best first. */
  type Page = {
    query: Query;
    hits: Hit[];
    notes: string[];
    session_id: string | null;
    took_ms: number;
  };

  /** One part of an answer's query: `text`, `picture` or `image_id`, and its weight. */
  type Part = {
    weight: number;
  };

  /** One part: words, an uploaded picture, or an image of the library. */
  type PartBody = {
    text?: string | null;
    picture?: string | null;
    image_id?: number | null;
    box?: [number, number, number, number] | null;
    weight?: number;
  };

  type PartsBody = {
    parts: PartBody[];
  };

  /** A picture that was uploaded to search with. */
  type Picture = {
    picture_id: string;
    width_px: number;
    height_px: number;
  };

  type Query = {
    parts: Part[];
  };

  type Reason = {
    name: string;
    amount: number;
    judgement_id: number | null;
  };

  /** What to change of a judgement; what is absent stays. */
  type ReviseBody = {
    caption?: string | null;
    relevant?: boolean | null;
    box?: [number, number, number, number] | null;
    weight?: number | null;
  };

  type Round = {
    number: number;
    parent: number | null;
    strategy: string;
    n_hits: number;
    notes: string[];
    choice: Record<string, any>;
  };

  type RoundAnswer = {
    round: Round;
    page: Page;
  };

  /** How to look again. */
  type RoundBody = {
    strategy?: string | null;
    limit?: number | null;
    keep_shown?: boolean | null;
    keep_judged?: boolean | null;
    relevant_words?: string;
    irrelevant_words?: string;
    judgements?: JudgeBody[];
  };

  type RoundMade = {
    round: Round;
    page: Page;
    session: Session;
    took_ms: number;
    changes: Record<string, Changes>;
  };

  /** A search. */
  type SearchBody = {
    where?: Record<string, string>;
    path?: string | null;
    query: string | PartsBody;
    limit?: number | null;
    fold?: boolean | null;
    away?: boolean;
  };

  /** A search with its rounds and the judgements that count now. */
  type Session = {
    session_id: string;
    library_id: string;
    name: string;
    query: Query;
    where: Record<string, string>;
    path: string | null;
    current_round: number;
    created_s: number;
    rounds: Round[];
    judgements: Judgement[];
    page: Page;
  };

  /** A new session; its filter holds for every page. */
  type SessionBody = {
    where?: Record<string, string>;
    path?: string | null;
    query: string | PartsBody;
    limit?: number | null;
    name?: string;
    instruction?: string;
  };

  type SessionChange = {
    name?: string | null;
    current_round?: number | null;
  };

  type SessionLine = {
    session_id: string;
    name: string;
    current_round: number;
    created_s: number;
  };

  type SessionList = {
    sessions: SessionLine[];
  };

  type SkippedFile = {
    path: string;
    code: string;
    message: string;
  };

  type SkippedFiles = {
    skipped: SkippedFile[];
  };

  type Status = {
    status: "ok";
  };

  type Strategies = {
    default: string;
    strategies: StrategyLine[];
  };

  type StrategyLine = {
    name: string;
    summary: string;
  };

  type Undone = {
    told: string;
    session: Session;
  };

  type Version = {
    version: string;
    api: string;
  };

  type Why = {
    image_id: number;
    score: number;
    reasons: Reason[];
  };
}
