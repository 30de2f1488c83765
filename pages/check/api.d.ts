// Made by pages/page_types.py from the API's OpenAPI document; do not edit.

declare namespace Api {
  /** Images that are away for one reason. */
  type Absence = {
    place: string;
    reason: string;
    n: number;
  };

  /** Who accepts an invitation. */
  type AcceptRequest = {
    invitation: string;
    name: string;
    password: string;
  };

  /** Pictures that a person put together, under a name. */
  type Album = {
    album_id: number;
    name: string;
    n_images: number;
    n_away: number;
    n_removed: number;
    created_s: number;
    changed_s: number;
    is_built_in: boolean;
  };

  /** An album after pictures were put into it or taken out. */
  type AlbumChange = {
    album: Album;
    n_changed: number;
  };

  /** An album, with what it holds. */
  type AlbumContents = {
    album_id: number;
    name: string;
    n_images: number;
    n_away: number;
    n_removed: number;
    created_s: number;
    changed_s: number;
    is_built_in: boolean;
    image_ids: number[];
  };

  /** The albums of a library. */
  type AlbumList = {
    albums: Album[];
    deleted: Album[];
  };

  /** What to call an album. */
  type AlbumName = {
    name: string;
  };

  /** A new album. */
  type AlbumRequest = {
    name: string;
    image_ids?: number[];
  };

  /** An answer; the same object is the event `answer` of a stream. */
  type AskAnswer = {
    ask_id: string;
    question: string;
    text: string;
    citations: number[];
    invented: number[];
    finish: "done" | "length" | "refused" | "cut_off" | "empty";
    model: string;
    usage: Usage;
    prompt: Record<string, any>;
    with_evidence: boolean;
    notes: string[];
    took_s: number;
    first_s: number | null;
    thinking: string;
    picked: string;
    evidence: Evidence;
    without: Written | null;
    answerer: string;
    when: string;
    why: string;
    decided: string;
    sent: Sent[];
    stages: Record<string, number>;
  };

  /** A provider that questions may name. */
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

  /** A question about an image of a library, an upload, an address, or a picture asked before. */
  type AskRequest = {
    question?: string;
    providers?: string[] | null;
    model?: string | null;
    when?: "always" | "never" | "auto" | "decide" | null;
    form?: "text" | "sheet" | "screenshot" | "names" | null;
    compare?: boolean | null;
    strike?: number[];
    pin?: number[];
    allow_upload?: boolean;
    library_id?: string | null;
    image_id?: number | null;
    picture?: string | null;
    url?: string | null;
    ask_id?: string | null;
    stream?: boolean;
  };

  type Body_add_picture_api_v1_libraries__library_id__pictures_post = {
    file: string;
  };

  type Body_search_picture_api_v1_libraries__library_id__search_picture_post = {
    file: string;
    query?: string;
    limit?: number | null;
    grammar?: boolean | null;
  };

  type Body_uploads_api_v1_libraries__library_id__uploads_post = {
    files: string[];
  };

  /** A filter whose pictures are shown, newest first. */
  type BrowseRequest = {
    where?: Record<string, string>;
    path?: string | null;
    limit?: number;
    skip?: number;
    away?: boolean;
  };

  /** Images that fit a filter, newest first. */
  type Browsed = {
    n_images: number;
    images: ImageAnswer[];
  };

  /** Images that were taken near each other. */
  type Cell = {
    latitude: number;
    longitude: number;
    n: number;
    near: string;
  };

  /** Places of an image of the current page, 1 is first. */
  type Change = {
    rank: number;
    rank_before: number | null;
  };

  /** What a session learnt, under a name, with what it rests on. */
  type Concept = {
    concept_id: number;
    name: string;
    relevant_words: string;
    irrelevant_words: string;
    strategy: string;
    created_s: number;
    changed_s: number;
    problems: string[];
    n_relevant: number;
    n_irrelevant: number;
    query: Query | null;
    examples: ConceptExample[];
  };

  /** A concept that was merged or imported; notes name what of it does not count here. */
  type ConceptAdded = {
    concept: Concept;
    notes: string[];
  };

  /** The pictures that a concept holds now. */
  type ConceptAlbum = {
    page: Page;
    n_pictures: number;
    is_cut: boolean;
    n_new: number;
  };

  /** What to change of a concept; what is absent stays. */
  type ConceptChange = {
    name?: string | null;
    relevant_words?: string | null;
    irrelevant_words?: string | null;
    examples?: ExampleChange[];
    without?: number[];
  };

  /** A picture that a concept rests on. */
  type ConceptExample = {
    example_id: number;
    image_id: number | null;
    content: string;
    path: string;
    relevant: boolean;
    box: [number, number, number, number] | null;
    caption: string;
    weight: number;
    thumbnail: string | null;
  };

  /** A concept in a list. */
  type ConceptLine = {
    concept_id: number;
    name: string;
    words: string;
    n_relevant: number;
    n_irrelevant: number;
    changed_s: number;
    n_pictures: number | null;
    n_new: number | null;
    problem: string;
  };

  /** The concepts of a library, by name. */
  type ConceptList = {
    concepts: ConceptLine[];
  };

  /** Make one concept of two. */
  type ConceptMerge = {
    first: number;
    second: number;
    name: string;
    replace?: boolean;
  };

  /** Keep what a session has learnt. */
  type ConceptRequest = {
    session_id: string;
    name: string;
    replace?: boolean;
  };

  /** The groups of copies of a library, those that take most first. */
  type Copies = {
    n_groups: number;
    n_others: number;
    n_bytes: number;
    groups: CopyGroup[];
  };

  /** One picture of a group of copies, and where it is. */
  type Copy = {
    image_id: number;
    path: string;
    size_bytes: number;
    width_px: number;
    height_px: number;
    format: string;
    taken_at: string;
    n_facts: number;
    is_same_file: boolean;
    sharpness: number | null;
    thumbnail: string;
    file: string;
    video: string | null;
  };

  /** Pictures that are copies of each other, the one to keep first. */
  type CopyGroup = {
    copies: Copy[];
    why: string;
    differs: string[];
    n_bytes: number;
  };

  /** One choice of a filter, and how many images have it. */
  type Count = {
    value: string;
    n: number;
  };

  /** What the content credentials of a file say. */
  type Credentials = {
    holds: boolean | null;
    signer: string;
    made_with: string;
    signed_at: string;
    problems: string[];
  };

  /** Words whose vectors are wanted. */
  type EmbedRequest = {
    texts: string[];
  };

  /** Unit vectors in the space of a library. */
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

  /** How many pictures of a session's kind there are, and how many of them were found. */
  type Estimate = {
    summary: string;
    n_found: number;
    n_seen: number;
    n_images: number;
    low: number;
    high: number;
    expected: number;
    chance: number;
    complete: boolean;
    to_judge: relook__serving__schemas__Candidate__1[];
    notes: string[];
  };

  /** What was found about one picture: items, and how each provider's look-up ended. */
  type Evidence = {
    items: Item[];
    providers: ProviderResult[];
    notes: string[];
    took_s: number;
    subject: Record<string, any>;
    fetched: Sent[];
    own: OwnEvidence | null;
    asked_at: string;
    outcome: "found" | "nothing" | "blocked" | "failed" | "not_asked";
    candidates: relook__serving__schemas__Candidate__2[];
  };

  /** What to change of an example; what is absent stays. */
  type ExampleChange = {
    example_id: number;
    relevant?: boolean | null;
    caption?: string | null;
    weight?: number | null;
  };

  /** Counts of what a filter lets through. */
  type Facets = {
    n_images: number;
    n_no_time: number;
    n_no_place: number;
    months: Count[];
    cameras: Count[];
    lenses: Count[];
    folders: Count[];
    ratings: Count[];
    orientations: Count[];
    places: Cell[];
    keywords: Count[];
    albums: Count[];
  };

  /** A filter whose pictures are counted. */
  type FacetsRequest = {
    where?: Record<string, string>;
    path?: string | null;
    away?: boolean;
  };

  /** Names that `where` of a search may use. */
  type Fields = {
    fields: string[];
  };

  /** A part that is a picture file and no upload: answers show only its name. */
  type FilePart = {
    text?: string | null;
    image_id?: number | null;
    box?: [number, number, number, number] | null;
    weight: number;
    concept?: string | null;
    place?: [number, number, number, number] | null;
    written?: string | null;
    literal?: boolean | null;
    picture: null;
    name: string;
  };

  /** A folder that may be indexed, or looked into. */
  type FolderLine = {
    name: string;
    path: string;
  };

  /** What of a folder may be chosen. */
  type FolderList = {
    path: string | null;
    above: string | null;
    n_pictures: number;
    may_add: boolean;
    folders: FolderLine[];
  };

  /** Where in a picture something is; row 0 of the cells is at the top. */
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
    tile: [number, number, number, number];
    title: string;
    caption: string;
    width_px: number;
    height_px: number;
    folded: number[];
    fit?: number | null;
    time_s?: number | null;
    verified?: Verified | null;
    written?: WrittenWord[] | null;
    metadata: Record<string, any>;
    away: string | null;
    thumbnail: string;
    file: string;
    video: string | null;
  };

  /** What the library knows of an image, and where it is. */
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
    video: string | null;
  };

  /** Some images of a library. */
  type ImagesRequest = {
    image_ids: number[];
  };

  /** A session that came from a file; notes name what of it is not here. */
  type Imported = {
    session_id: string;
    notes: string[];
  };

  /** What to index. */
  type IndexRequest = {
    paths?: string[];
    text?: boolean;
  };

  /** The images that one judgement moved most, each list with the largest change first. */
  type Influence = {
    judgement_id: number;
    raised: Moved[];
    lowered: Moved[];
  };

  /** One numbered piece of evidence. */
  type Item = {
    number: number;
    provider: string;
    kind: "same" | "page" | "similar" | "entity" | "saved";
    title: string;
    source: string;
    page_url: string;
    image_url: string;
    thumbnail_url: string;
    text: string;
    date: string;
    similarity: number | null;
    rank: number;
    image_id: number | null;
    picture_hash: number | null;
    metadata: Record<string, string>;
    thumbnail: string | null;
    verified: Verified | null;
    others: Match[];
    page_text: string;
    pinned: boolean;
    struck: boolean;
    providers: string[];
  };

  /** A run of indexing, or an upgrade to another encoder. */
  type Job = {
    job_id: string;
    kind: "index" | "upgrade";
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

  /** A mark; `caption` null by `captioner` means that it is still being written. */
  type Judgement = {
    judgement_id: number;
    round: number;
    image_id: number;
    relevant: boolean;
    box: [number, number, number, number] | null;
    caption: string | null;
    caption_by: string;
    weight: number;
    led_to: number | null;
    failure?: ErrorBody | null;
  };

  /** A mark that somebody wants made on an image, or on a region of it. */
  type JudgementRequest = {
    image_id: number;
    relevant: boolean;
    box?: [number, number, number, number] | null;
    caption?: string | null;
    weight?: number;
  };

  /** Marks, in the order in which they were asked for. */
  type Judgements = {
    judgements: Judgement[];
  };

  /** Several marks: all of them are made, or none. */
  type JudgementsRequest = {
    judgements: JudgementRequest[];
  };

  /** Every library of this server. */
  type Libraries = {
    libraries: Library[];
  };

  /** One library and what it holds. */
  type Library = {
    library_id: string;
    name: string;
    library: string;
    n_images: number;
    n_tiles: number;
    n_away: number;
    away: Absence[];
    n_skipped: number;
    n_unencoded: number;
    n_text_read: number;
    n_text_found: number;
    others: OtherFiles[];
    encoder: string;
    encoder_revision: string;
    upgrade?: UpgradeOffer | null;
    languages: string;
    fingerprint: string;
    dim: number;
    format_version: number;
    roots: string[];
    n_bytes: number;
    store?: string | null;
    backup_age_s?: number | null;
    limit: number;
    strategy: string;
    keep_shown: boolean;
    grammar: boolean;
    folders: string[];
    job_id: string | null;
    shows_folders: boolean;
    right: "none" | "view" | "mark" | "index";
  };

  /** A link that has not ended. */
  type Link = {
    name: string;
    album: string | null;
    is_there: boolean;
    made_by: string;
    created_s: number;
    ends_s: number;
  };

  /** The links of a library. */
  type LinkList = {
    links: Link[];
  };

  /** A new link. */
  type LinkRequest = {
    lasts_s: number;
  };

  /** A link, and the only time that its address is told. */
  type MadeLink = {
    link: Link;
    path: string;
  };

  /** One thing a provider returned. All text is plain and short: no HTML, no control characters. */
  type Match = {
    provider: string;
    kind: "same" | "page" | "similar" | "entity" | "saved";
    title: string;
    source: string;
    page_url: string;
    image_url: string;
    thumbnail_url: string;
    text: string;
    date: string;
    similarity: number | null;
    rank: number;
    image_id: number | null;
    picture_hash: number | null;
    metadata: Record<string, string>;
    thumbnail: string | null;
    verified: Verified | null;
  };

  /** Who asks. */
  type Me = {
    kind: "everyone" | "token" | "person" | "link" | "nobody";
    name: string;
    rights: Record<string, string>;
    links_open: boolean;
  };

  /** An image that a judgement moved. */
  type Moved = {
    image_id: number;
    path: string;
    change: number;
    rank: number;
    rank_without: number;
  };

  /** Files with one suffix that are not indexed. */
  type OtherFiles = {
    suffix: string;
    n: number;
    what: string;
    advice: string;
  };

  /** What a picture's file says of itself. */
  type OwnEvidence = {
    facts: Record<string, string>;
    notes: string[];
    thumbnail_differs: boolean | null;
    credentials: Credentials | null;
  };

  /** Hits, best first. */
  type Page = {
    query: Query;
    hits: Hit[];
    suggestions: Suggestion[];
    notes: string[];
    session_id: string | null;
    took_ms: number;
    n_fitting: number | null;
  };

  /** One part of an answer's query: `text`, `picture` or `image_id`, and its weight. */
  type Part = {
    text?: string | null;
    image_id?: number | null;
    box?: [number, number, number, number] | null;
    weight: number;
    concept?: string | null;
    place?: [number, number, number, number] | null;
    written?: string | null;
    literal?: boolean | null;
    picture?: string | null;
  };

  /** One part: words, an uploaded picture, an image, a concept, or words in the picture. */
  type PartRequest = {
    text?: string | null;
    picture?: string | null;
    image_id?: number | null;
    box?: [number, number, number, number] | null;
    weight?: number;
    concept?: string | null;
    place?: [number, number, number, number] | null;
    written?: string | null;
    literal?: boolean | null;
  };

  /** A query of several parts. */
  type PartsRequest = {
    parts: PartRequest[];
  };

  /** A picture that was uploaded to search with. */
  type Picture = {
    picture_id: string;
    width_px: number;
    height_px: number;
  };

  /** How a look-up by one provider ended, and what it returned. */
  type ProviderResult = {
    provider: string;
    outcome: "found" | "nothing" | "blocked" | "consent_page" | "quota" | "bad_key" | "refused" | "timed_out" | "not_allowed" | "over_budget" | "unsupported" | "failed";
    message: string;
    hint: string;
    sent: Sent[];
    took_s: number;
    cost_usd: number;
    retry_after_s: number | null;
    screenshot: string | null;
    cached_s: number | null;
    n_matches: number;
    has_screenshot: boolean;
  };

  /** Signed, weighted parts that together say what is looked for. */
  type Query = {
    parts: (Part | FilePart)[];
  };

  /** What one part of the query added to a hit's score. */
  type Reason = {
    name: string;
    amount: number;
    judgement_id: number | null;
  };

  /** What was made again, in words, and the session with it. */
  type Redone = {
    told: string;
    session: Session;
  };

  /** What to change of a judgement; what is absent stays. */
  type RevisionRequest = {
    caption?: string | null;
    relevant?: boolean | null;
    box?: [number, number, number, number] | null;
    weight?: number | null;
  };

  /** A round and its page. */
  type RoundAnswer = {
    round: RoundRow;
    page: Page;
  };

  /** A new round: its page, the session with it, and how its images moved. */
  type RoundMade = {
    round: RoundRow;
    page: Page;
    session: Session;
    took_ms: number;
    changes: Record<string, Change>;
  };

  /** How to look again. */
  type RoundRequest = {
    strategy?: string | null;
    limit?: number | null;
    keep_shown?: boolean | null;
    keep_judged?: boolean | null;
    relevant_words?: string;
    irrelevant_words?: string;
    judgements?: JudgementRequest[];
  };

  /** One page of a session: which round it grew from, how, and what it showed. */
  type RoundRow = {
    number: number;
    parent: number | null;
    strategy: string;
    n_hits: number;
    notes: string[];
    choice: Record<string, any>;
  };

  /** A search. */
  type SearchRequest = {
    query: string | PartsRequest;
    where?: Record<string, string>;
    path?: string | null;
    limit?: number | null;
    fold?: boolean | null;
    grammar?: boolean | null;
    away?: boolean;
    min_fit?: number;
  };

  /** What left this machine. */
  type Sent = {
    host: string;
    n_bytes: number;
    what: string;
  };

  /** A search with its rounds and the judgements that count now. */
  type Session = {
    session_id: string;
    name: string;
    current_round: number;
    created_s: number;
    library_id: string;
    query: Query;
    where: Record<string, string>;
    path: string | null;
    min_fit: number;
    rounds: RoundRow[];
    judgements: Judgement[];
    page: Page;
  };

  /** What to change of a session; what is absent stays. */
  type SessionChange = {
    name?: string | null;
    current_round?: number | null;
  };

  /** The sessions of a library, newest first. */
  type SessionList = {
    sessions: SessionRow[];
  };

  /** A new session; its filter holds for every page. */
  type SessionRequest = {
    query: string | PartsRequest;
    where?: Record<string, string>;
    path?: string | null;
    limit?: number | null;
    name?: string;
    min_fit?: number;
    instruction?: string;
    grammar?: boolean | null;
  };

  /** A session's own line. */
  type SessionRow = {
    session_id: string;
    name: string;
    current_round: number;
    created_s: number;
  };

  /** What a link to an album shows. */
  type SharedAlbum = {
    name: string;
    ends_s: number;
    images: SharedImage[];
  };

  /** A picture of the album. */
  type SharedImage = {
    image_id: number;
    width_px: number;
    height_px: number;
  };

  /** A folder that the file manager was asked to show. */
  type ShownFolder = {
    folder: string;
    name: string;
  };

  /** Who wants in. */
  type SignInRequest = {
    name: string;
    password: string;
  };

  /** A file that could not be indexed, with the reason. */
  type SkippedFile = {
    path: string;
    code: string;
    message: string;
  };

  /** Files that could not be indexed. */
  type SkippedFiles = {
    skipped: SkippedFile[];
  };

  /** Whether the server answers. */
  type Status = {
    status: "ok";
  };

  /** The ways of using judgements, the default first. */
  type Strategies = {
    default: string;
    strategies: StrategyLine[];
  };

  /** A way of using judgements. */
  type StrategyLine = {
    name: string;
    summary: string;
  };

  /** Something else to do about a query; nothing of it happens unless somebody takes it. */
  type Suggestion = {
    kind: string;
    label: string;
    note: string;
    query?: Query | null;
  };

  /** What was taken back, in words, and the session without it. */
  type Undone = {
    told: string;
    session: Session;
  };

  /** What an upgrade would take. */
  type UpgradeCost = {
    before: string;
    after: string;
    n_images: number;
    n_left: number;
    n_away: number;
    n_bytes: number;
    free_bytes: number;
    seconds: number | null;
    is_needed: boolean;
  };

  /** A newer version of the encoder that made a library. */
  type UpgradeOffer = {
    after: string;
    begun: boolean;
  };

  /** A run of indexing over uploads; `refused` has those that are no pictures. */
  type UploadJob = {
    job_id: string;
    kind: "index" | "upgrade";
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
    refused: SkippedFile[];
  };

  /** What a reply cost, in the model's tokens; None where the service does not say. */
  type Usage = {
    prompt_tokens: number | null;
    completion_tokens: number | null;
  };

  /** What a comparison of two pictures showed. */
  type Verified = {
    verdict: "same" | "edited" | "part" | "mirrored" | "similar";
    outline: [number, number][];
    shows: number;
    shown: number;
    agreement: number;
    n_points: number;
    words: string;
  };

  /** Which Relook this is, and which API it speaks. */
  type Version = {
    version: string;
    api: string;
  };

  /** Why a hit is where it is. */
  type Why = {
    image_id: number;
    score: number;
    reasons: Reason[];
  };

  /** The answer to one prompt. */
  type Written = {
    text: string;
    citations: number[];
    invented: number[];
    finish: "done" | "length" | "refused" | "cut_off" | "empty";
    model: string;
    usage: Usage;
    prompt: Record<string, any>;
    with_evidence: boolean;
    notes: string[];
    took_s: number;
    first_s: number | null;
    thinking: string;
    picked: string;
  };

  /** A word that stands in a picture. */
  type WrittenWord = {
    text: string;
    box: [number, number, number, number];
  };

  /** An image that is worth judging. */
  type relook__serving__schemas__Candidate__1 = {
    image_id: number;
    chance: number;
  };

  /** A name for what a picture shows. */
  type relook__serving__schemas__Candidate__2 = {
    name: string;
    numbers: number[];
    sources: string[];
    n_same: number;
    n: number;
  };
}
