"""Concepts shared as a file: with other libraries and encoders, and forged ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from concept_parts import CORNER, learnt, library_of_bars, many_bars  # noqa: F401  (two are fixtures)
from session_parts import id_of
from upgrade_parts import NewEncoder, OldEncoder

import relook
from relook.core.errors import InputError, RelookError
from relook.core.types import Part, Query
from relook.library.concept_values import ConceptChange
from relook.search.concept_file import add_concept, export_concept
from relook.testing import solid


def test_it_is_shared_as_a_file_without_its_pictures(
    library: relook.Library, tmp_path: Path
) -> None:
    session = learnt(library)
    session.judge(id_of(library, "red4.png"), relevant=True, box=CORNER, caption="hood")
    concept = library.concepts.save(session, "van")
    data = json.dumps(export_concept(library.concepts, "van")).encode()
    other = tmp_path / "other"
    other.mkdir()
    solid("red").save(other / "new.png")
    with relook.Library(tmp_path / "elsewhere", encoder=OldEncoder()) as elsewhere:
        elsewhere.add(other)
        added, notes = add_concept(elsewhere.concepts, data)
        np.testing.assert_allclose(added.vector, concept.vector, atol=1e-6)
        assert notes == ()
        assert [example.image_id for example in added.examples] == [None] * 4
        assert added.examples[3].caption == "hood"
        assert elsewhere.search("@van")[0].path.name == "new.png"
        fresh = elsewhere.concepts.change(
            "van", ConceptChange(without=(added.examples[0].example_id,))
        )
        assert not np.allclose(fresh.vector, added.vector)  # fitted without any of its pictures
        with pytest.raises(InputError) as taken:
            add_concept(elsewhere.concepts, data)
        assert taken.value.code == "name_taken"
        assert add_concept(elsewhere.concepts, data, name="two")[0].name == "two"


def test_a_file_of_another_encoder_is_fitted_again_or_refused(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    library.concepts.save(learnt(library), "van")
    session = library.look(Query((Part(image=pictures / "red2.png"),)))
    session.judge(id_of(library, "red0.png"), relevant=True)
    library.concepts.save(session, "no words")
    by_name = {
        name: json.dumps(export_concept(library.concepts, name)).encode()
        for name in ("van", "no words")
    }
    some = tmp_path / "some"
    some.mkdir()
    (pictures / "red1.png").rename(some / "red1.png")
    with relook.Library(tmp_path / "new", encoder=NewEncoder()) as other:
        other.add(some)
        added, notes = add_concept(other.concepts, by_name["van"])
        assert "fitted again from its words and 1 of its 3 examples" in notes[0]
        assert added.vector.shape == (24,)
        (note,) = [note for note in other.search("@van").notes if "examples" in note]
        assert note.startswith("2 of the 3 examples of @van cannot be read")
        with pytest.raises(InputError, match="none of its 2 pictures") as refused:
            add_concept(other.concepts, by_name["no words"])
        assert refused.value.code == "other_encoder"
        assert [concept.name for concept in other.concepts.all()] == ["van"]
        for name in ("magenta3.png", "red0.png"):
            (pictures / name).rename(some / name)
        other.add(some)  # the pictures come: all of it counts
        assert not [note for note in other.search("@van").notes if "examples" in note]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": "x"}, "format"),
        ({"vector": "AAAA"}, "vector: 3 bytes are not 1 x"),
        ({"vector": None}, "vector"),
        ({"strategy": "magic"}, "strategy"),
        ({"query": {"parts": [{"concept": "van"}]}}, "no words"),
        ({"name": ""}, "name"),
        ({"examples": [{"content": "zz", "relevant": True}]}, "hexadecimal"),
    ],
)
def test_a_forged_file_is_refused_with_the_place_that_is_wrong(
    library: relook.Library, change: dict[str, object], problem: str
) -> None:
    library.concepts.save(learnt(library), "van")
    values = export_concept(library.concepts, "van") | {"name": "forged"} | change
    with pytest.raises(RelookError, match=problem):
        add_concept(library.concepts, json.dumps(values).encode())
    with pytest.raises(InputError, match="nested too deeply"):
        add_concept(library.concepts, b"[" * 100_000)
    assert len(library.concepts.all()) == 1
