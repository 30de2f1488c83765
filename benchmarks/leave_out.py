"""What leaves when words are left out: "a beach - people", held against people's captions.

A picture shows a kind when one of its captions uses a word of the kind, told below.

    python benchmarks/leave_out.py dev.relook --captions captions.tsv --split dev
"""

import argparse
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import relook
from relook.bench.measures import columns_by_name
from relook.bench.query_files import read_captions
from relook.search.negation import shows

SAID_AS = {
    "people": "people person persons man men woman women boy boys girl girls child children kid"
    " kids lady ladies guy guys male female toddler baby babies infant adult adults player players"
    " crowd couple family teenager teenagers friends group gentleman skateboarder skier"
    " snowboarder surfer biker bicyclist cyclist climber swimmer rider hiker runner performer"
    " dancer wrestler worker workers team teammates someone he she her his soldier soldiers"
    " musician spectators audience",
    "children": "child children kid kids boy boys girl girls toddler baby",
    "animal": "dog dogs puppy cat horse horses bird birds animal animals cow sheep goat bull duck",
    "dog": "dog dogs puppy puppies poodle greyhound terrier collie retriever",
    "snow": "snow snowy snowboard snowboarder skier ski skiing skis sled",
    "water": "water ocean sea lake river pool pond wave waves stream surf surfer surfing puddle"
    " swimming swims swimmer fountain splash splashes splashing",
    "bicycle": "bicycle bicycles bike bikes bicyclist cyclist biker bikers",
    "car": "car cars vehicle vehicles suv automobile racecar truck trucks van jeep taxi",
    "red": "red",
}


def main() -> None:
    """Leaves each kind out, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--split", required=True)
    options = parser.parse_args()
    with relook.Library(options.library) as library:
        engine = library.engine
        columns = columns_by_name(engine)
        said: list[set[str]] = [set() for _ in engine.files.row_table]
        for caption in read_captions(options.captions, options.split):
            if caption.image in columns:
                said[columns[caption.image]] |= set(re.findall(r"\w+", caption.text.lower()))
        print("left out   of those that go, show it   of those that show it, go   of others, go")
        for kind, words in SAID_AS.items():
            shown = np.array([bool(each & set(words.split())) for each in said])
            goes = shows(kind, engine.score_all, engine.files, engine.encoder)
            figures = [_share(shown, goes), _share(goes, shown), _share(goes, ~shown)]
            print(f"{kind:8} {figures[0]:26.2f} {figures[1]:27.2f} {figures[2]:15.2f}")


def _share(of: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float(of[among].mean()) if among.any() else 0.0


if __name__ == "__main__":
    main()
