"""Every study file loads, and every way to get one wrong is named with its line."""

import pytest
import yaml

from lib import paths
from lib.studies import Recipe
from lib.study_file import load_study

# A small study with one of everything, so that no edit of the real ones disturbs these tests.
STUDY = """\
# a comment, so that line numbers are not trivially right
name: tiny
title: A tiny study

corpus: {folder: data/itr, general: 100}
models: {base: smollm2-135m-instruct}
embedding: all-minilm-l6-v2
generation: {max_new_tokens: 96, batch_size: 64, batch_tokens: 16384}
retrieval: {passage_tokens: 64, search: hybrid, k: 3}
retrievals:
  whole: {chunker: document, search: bm25, k: 1}
hybrid_candidates: [both]

recipes:
  tuned: {data: raw, rank: 8, alpha: 8, learning_rate: 1.0e-4, epochs: 3, seeds: [0, 1]}
  even:  {data: uniform, rank: 8, alpha: 8, learning_rate: 1.0e-4, epochs: 3}
  full:  {data: raw, method: full, learning_rate: 2.0e-5, epochs: 20}

gradients: {raw: tuned, uniform: even, items: 8, epochs: [0, 2, 3]}

conditions:
  base:  {weights: base}
  floor: {weights: base, instruction: reworded}
  tuned: {weights: tuned}
  full:  {weights: full}
  rag:   {weights: base, context: gold}
  both:  {weights: tuned, context: retrieved}
  pages: {weights: base, context: retrieved, retrieval: whole}

grids:
  01_first:
    - {conditions: [base, tuned], probes: [paraphrase, choice], facts: 32}
    - {conditions: [base, rag, both], probes: [unanswerable]}
    - {conditions: [tuned, floor], probes: [general]}

claims:
  C1:
    text: One.
    notebook: 01_first
    contrasts:
      - {a: tuned, b: base, probe: paraphrase, metric: accuracy, direction: differs, margin: 0.0}
      - {a: tuned, b: floor, probe: kept, metric: kept, direction: less, margin: 0.05}
  C2:
    text: Two.
    notebook: 02_second
    missing: nobody has measured it

decision:
  approaches: {neither: base, both: both}
  least_accuracy: 0.8
  least_style: 0.0
  most_latency_ms: 500
  answers_per_month: 10
  updates_per_month: 1
  usd_per_machine_hour: 0.05
  most_usd_per_month: 10
"""

# What is written wrongly: the old text, the new text, and what the message must say besides file and line.
FAULTS = {
    "misspelt section": ("embedding:", "embeding:", ["embeding:", "unknown key", "embedding, generation"]),
    "misspelt key": ("method: full,", "methud: full,", ["recipes.full.methud", "unknown key", "data, method, rank"]),
    "misspelt limit": ("general: 100", "genral: 100", ["corpus.genral", "test, dev, raft, neighbour, easy, general"]),
    "misspelt side": ("b: floor", "bb: floor", ["claims.C1.contrasts.1.bb", "keys here are a, b, probe"]),
    "word for a number": ("k: 3}", "k: three}", ["retrieval.k", "valid integer", "'three'"]),
    "number for a word": ("name: tiny", "name: 7", ["name", "valid string", "got 7"]),
    "list for a mapping": ("corpus: {folder: data/itr, general: 100}", "corpus: [7]", ["corpus", "got [7]"]),
    "name with a space": ("  full:  {data", "  fu ll: {data", ["recipes.fu ll", "match pattern", "'fu ll'"]),
    "unknown method": ("method: full", "method: half", ["recipes.full.method", "'lora' or 'full'", "'half'"]),
    "unknown context": ("context: gold", "context: silver", ["rag.context", "'gold' or 'distractors'", "'silver'"]),
    "unknown probe": ("[unanswerable]", "[unanswered]", ["1.probes.0", "'unanswerable'", "got 'unanswered'"]),
    "a vintage that is not searched": (
        "context: gold}",
        "context: gold, vintage: after}",
        ["conditions.rag:", "a vintage is searched"],
    ),
    "unknown to what was right before": (
        "margin: 0.05}",
        "margin: 0.05, right_before: [flor]}",
        ["claims.C1.contrasts.1.right_before.0", "'flor' not one of", "got 'flor'"],
    ),
    "unknown metric": ("metric: kept", "metric: keeping", ["contrasts.1.metric", "'kept'", "got 'keeping'"]),
    "unknown precision": ("batch_tokens: 16384", "precision: int4", ["generation.precision", "'bfloat16'", "'int4'"]),
    "rank zero": ("rank: 8,", "rank: 0,", ["recipes.tuned.rank", "greater than or equal to 1", "got 0"]),
    "negative rate": ("2.0e-5", "-2.0e-5", ["recipes.full.learning_rate", "greater than 0", "got -2e-05"]),
    "k too large": ("k: 3}", "k: 21}", ["retrieval.k", "less than or equal to 20", "got 21"]),
    "size of a whole document": (
        "{chunker: document,",
        "{chunker: document, passage_tokens: 64,",
        ["retrievals.whole:", "passage_tokens belongs to every chunker but document"],
    ),
    "no size": ("chunker: document,", "chunker: tokens,", ["retrievals.whole:", "passage_tokens belongs to every"]),
    "unknown retrieval": (
        "retrieval: whole}",
        "retrieval: hole}",
        ["conditions.pages.retrieval", "'hole' not one of ['whole']", "got 'hole'"],
    ),
    "retrieval without passages": (
        "context: retrieved, retrieval: whole}",
        "retrieval: whole}",
        ["conditions.pages:", "retrieval belongs to a condition that is shown passages"],
    ),
    "no seed": ("seeds: [0, 1]", "seeds: []", ["recipes.tuned.seeds", "at least 1 item", "got []"]),
    "full with a rank": (
        "method: full,",
        "method: full, rank: 8,",
        ["recipes.full:", "rank and alpha belong to method"],
    ),
    "full with an adapter's shape": (
        "method: full,",
        "method: full, dora: true,",
        ["recipes.full:", "method lora alone"],
    ),
    "full without conflicts": (
        "method: full,",
        "method: full, conflicts: projected,",
        ["recipes.full:", "conflicts projected belongs to method lora alone", "would not fit into memory"],
    ),
    "unknown word for conflicts": (
        "{data: raw, rank: 8,",
        "{data: raw, conflicts: removed, rank: 8,",
        ["recipes.tuned.conflicts", "'kept' or 'projected'", "'removed'"],
    ),
    "unknown target": (
        "{data: raw, rank: 8,",
        "{data: raw, target_modules: mlp, rank: 8,",
        ["recipes.tuned.target_modules", "'all-linear' or 'attention'", "'mlp'"],
    ),
    "dev where no split is chosen": (
        "{data: raw, rank: 8,",
        "{data: json, split: dev, rank: 8,",
        ["recipes.tuned:", "data json has a split of its own"],
    ),
    "no such launch": (
        "hybrid_candidates:",
        "accelerate: studies/accelerate/tpu.yaml\nhybrid_candidates:",
        ["accelerate", "no such file", "studies/accelerate/fsdp2.yaml"],
    ),
    "unknown way": ("neither: base", "nether: base", ["decision.approaches.nether", "'neither', 'fine_tuning'"]),
    "unknown to the decision": ("neither: base", "neither: bass", ["decision.approaches.neither", "'bass' not one of"]),
    "a share over one": (
        "least_accuracy: 0.8",
        "least_accuracy: 80",
        ["decision.least_accuracy", "equal to 1", "got 80"],
    ),
    "unknown to a claim": (
        "b: floor, probe",
        "b: flor, probe",
        ["claims.C1.contrasts.1.b", "'flor' not one of ['base', 'both', 'floor'", "got 'flor'"],
    ),
    "unknown to a grid": (
        "[base, rag, both]",
        "[base, rga, both]",
        ["grids.01_first.1.conditions.1", "'rga' not one of ['base', 'both'", "got 'rga'"],
    ),
    "hybrid without retrieval": ("[both]", "[tuned]", ["hybrid_candidates.0", "'tuned' has no retrieved context"]),
    "hybrid in JSON": (
        "both:  {weights: tuned, context: retrieved}",
        "both:  {weights: tuned, context: retrieved, instruction: json}",
        ["conditions.both.instruction", "'both' is among hybrid_candidates", "'json'"],
    ),
    "unknown hybrid": ("[both]", "[booth]", ["hybrid_candidates.0", "'booth' not one of ['base', 'both'"]),
    "routing to a condition with passages": (
        "{weights: base, context: retrieved, retrieval: whole}",
        "{weights: base, context: retrieved, retrieval: whole, unless_surer: both}",
        ["conditions.pages.unless_surer", "can give way to a condition without passages", "got 'both'"],
    ),
    "routing of trained weights": (
        "{weights: tuned, context: retrieved}",
        "{weights: tuned, context: retrieved, unless_surer: base}",
        ["conditions.both.unless_surer", "untrained weights can give way", "got 'base'"],
    ),
    "unknown weights": (
        "{weights: full}",
        "{weights: fool}",
        ["conditions.full.weights", "'fool' not one of ['base', 'even', 'full', 'tuned']", "got 'fool'"],
    ),
    "no measured recipe": (
        "raw: tuned, uniform: even,",
        "raw: tuned, uniform: tuned,",
        ["gradients.uniform", "'tuned' is not a recipe with data uniform, method lora and seed 0"],
    ),
    "gradients of an arm without": (
        "{a: tuned, b: floor, probe: kept, metric: kept",
        "{a: base, probe: training, metric: gradient_link",
        ["claims.C1.contrasts.1", "gradients are measured of ['tuned', 'even'], not of 'base'"],
    ),
    "gradients of a second arm without": (
        "{a: tuned, b: floor, probe: kept, metric: kept",
        "{a: tuned, b: base, probe: training, metric: gradient_cosine",
        ["claims.C1.contrasts.1.b", "gradients are measured of ['tuned', 'even'], not of 'base'"],
    ),
    "losses of an arm without": (
        "{a: tuned, b: floor, probe: kept, metric: kept",
        "{a: tuned, b: base, probe: training, metric: loss",
        ["claims.C1.contrasts.1.b", "'base' not one of ['even', 'full', 'tuned']", "got 'base'"],
    ),
    "a comparison with nothing": (
        "{a: tuned, b: floor, probe: kept, metric: kept",
        "{a: tuned, probe: training, metric: loss",
        ["claims.C1.contrasts.1.metric", "compare two conditions: b is needed", "got 'loss'"],
    ),
    "a metric of another probe": (
        "probe: kept, metric: kept",
        "probe: kept, metric: latency_ms",
        ["claims.C1.contrasts.1.probe", "latency_ms is measured on probe 'paraphrase'", "got 'kept'"],
    ),
    "misspelt probe of a claim": (
        "b: base, probe: paraphrase",
        "b: base, probe: parafrase",
        [
            "claims.C1.contrasts.0.probe",
            "no grid up to 01_first asks 'tuned' in probe 'parafrase', but in ['choice',",
            "got 'parafrase'",
        ],
    ),
    "kept of an arm that is not asked": (
        "b: floor, probe: kept",
        "b: rag, probe: kept",
        ["claims.C1.contrasts.1.probe", "asks 'rag' in probe 'kept', but in ['unanswerable']"],
    ),
    "a claim on an arm that is never asked": (
        "{a: tuned, b: base,",
        "{a: pages, b: base,",
        ["claims.C1.contrasts.0.a", "asks 'pages' in probe 'paraphrase', but in none", "got 'pages'"],
    ),
    "right before of an arm that is never asked": (
        "margin: 0.05}",
        "margin: 0.05, right_before: [pages]}",
        ["claims.C1.contrasts.1.right_before.0", "asks 'pages' in probe 'kept', but in none", "got 'pages'"],
    ),
    "no number for a margin": ("margin: 0.05}", "margin: .nan}", ["contrasts.1.margin", "finite number", "got nan"]),
    "endless margin": ("margin: 0.05}", "margin: .inf}", ["contrasts.1.margin", "finite number", "got inf"]),
    "margin below any difference": (
        "direction: differs, margin: 0.0",
        "direction: differs, margin: -0.1",
        ["claims.C1.contrasts.0.margin", "margin of differs is a distance", "0 or more", "got -0.1"],
    ),
    "one seed twice": ("seeds: [0, 1]", "seeds: [0, 0]", ["recipes.tuned.seeds", "given twice", "got [0, 0]"]),
    "a condition called hybrid": (
        "  full:  {weights: full}",
        "  hybrid:  {weights: full}",
        ["conditions.hybrid", "stands for the candidate that dev chooses", "got 'hybrid'"],
    ),
    "a recipe called as a model": (
        "  full:  {data",
        "  base:  {data",
        ["recipes.base", "a model has this name too", "got 'base'"],
    ),
    "a section given twice": (
        "embedding: all",
        "models: {base: gemma-3-270m}\nembedding: all",
        ["models: given twice, first in line 6"],
    ),
    "a key given twice": ("k: 3}", "k: 3, k: 4}", ["k: given twice, first in line 9"]),
    "a number to extend": ("name: tiny", "extends: 5", ["extends: the name of one study", "got 5"]),
    "a list to extend": ("name: tiny", "extends: [itr]", ["extends: the name of one study", "got ['itr']"]),
    "nothing to extend": ("name: tiny", "extends:", ["extends: the name of one study", "got None"]),
    "a point beyond the end": ("[0, 2, 3]", "[0, 2, 4]", ["gradients.epochs", "end of tuned, which has 3 epochs"]),
    "points that do not ascend": ("[0, 2, 3]", "[0, 3, 2]", ["gradients", "begin with 0 and ascend", "[0, 3, 2]"]),
    "two ends of a claim": (
        "    missing:",
        "    contrasts: []\n    # missing:",
        ["claims.C2:", "contrasts, or `missing`"],
    ),
}


def write(folder, text, name="broken.yaml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("path", sorted(paths.STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_here_loads_by_its_name(path):
    assert load_study(path.stem).name == path.stem


@pytest.mark.parametrize("old, new, said", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_file_line_value_and_what_is_accepted(tmp_path, old, new, said):
    assert old in STUDY
    broken = STUDY.replace(old, new, 1)
    pairs = zip(STUDY.splitlines(), broken.splitlines(), strict=False)
    line = next(number for number, (was, now) in enumerate(pairs, 1) if was != now)
    if said[0] == "claims.C2:":  # a fault of the whole claim is reported where the claim begins
        line = 1 + STUDY.splitlines().index("  C2:")
    with pytest.raises(ValueError) as caught:
        load_study(write(tmp_path, broken))
    first = next(text for text in str(caught.value).splitlines() if said[0] in text)
    assert first.startswith(f"broken.yaml:{line}: ")
    assert [part for part in said if part not in first] == []


def test_two_faults_are_both_named(tmp_path):
    broken = STUDY.replace("k: 3}", "k: 0}").replace("max_new_tokens: 96", "max_new_tokens: 1")
    with pytest.raises(ValueError) as caught:
        load_study(write(tmp_path, broken))
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_section_is_named(tmp_path):
    fields = yaml.safe_load(STUDY)
    del fields["retrieval"]
    with pytest.raises(ValueError, match=r"broken.yaml:\d+: retrieval: Field required"):
        load_study(write(tmp_path, yaml.safe_dump(fields)))


@pytest.mark.parametrize("text", ["", "- a list\n", "just words\n", "name: [1, 2\n", "\ttabs: 1\n"])
def test_what_is_no_study_at_all_is_named(tmp_path, text):
    with pytest.raises(ValueError, match="broken.yaml"):
        load_study(write(tmp_path, text))


def test_an_unknown_study_lists_those_there_are():
    with pytest.raises(FileNotFoundError, match="nosuch.yaml not found; studies here: .*itr"):
        load_study("nosuch")


def registration(folder, *changes):
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return load_study(write(folder, text)).registration


@pytest.mark.parametrize(
    "old, new",
    [
        ("margin: 0.05", "margin: 0.06"),
        ("direction: differs", "direction: greater"),
        ("epochs: 20", "epochs: 21"),
        ("least_accuracy: 0.8", "least_accuracy: 0.9"),
        ("instruction: reworded", "instruction: neutral"),
        ("facts: 32}", "facts: 33}"),
        ("seeds: [0, 1]", "seeds: [0, 2]"),
        ("search: bm25", "search: dense"),
        (", retrieval: whole}", "}"),
        ("rank: 8, alpha", "rank: 8, rslora: true, alpha"),
        ("rank: 8, alpha", "rank: 8, dora: true, alpha"),
        ("rank: 8, alpha", "rank: 8, target_modules: attention, alpha"),
        ("rank: 8, alpha", "rank: 8, conflicts: projected, alpha"),
        ("rank: 8, alpha", "split: dev, rank: 8, alpha"),
    ],
)
def test_a_changed_promise_changes_the_registration(tmp_path, old, new):
    assert registration(tmp_path, (old, new)) != registration(tmp_path)


@pytest.mark.parametrize(
    "old, new",
    [
        ("title: A tiny", "title: The tiny"),
        ("# a comment", "# another comment"),
        ("hybrid_candidates:", "latency_questions: 9\nhybrid_candidates:"),
        ("margin: 0.05", "margin: 0.050"),
        ("{a: tuned, b: base,", "{b: base, a: tuned,"),
        ("rank: 8, alpha", "rslora: false, dora: false, target_modules: all-linear, split: test, rank: 8, alpha"),
        ("rank: 8, alpha", "conflicts: kept, rank: 8, alpha"),
        ("hybrid_candidates:", "accelerate: studies/accelerate/fsdp2.yaml\nhybrid_candidates:"),
    ],
)
def test_what_promises_nothing_leaves_the_registration_alone(tmp_path, old, new):
    assert registration(tmp_path, (old, new)) == registration(tmp_path)


def test_a_study_cannot_be_changed_once_loaded():
    with pytest.raises(ValueError, match="frozen"):
        load_study("itr").title = "other"


def test_a_study_that_extends_another_keeps_what_it_does_not_say(tmp_path):
    itr = load_study("itr")
    small = load_study(write(tmp_path, "extends: itr\nname: small\nretrieval: {k: 2}\n"))
    assert (small.name, small.retrieval.k) == ("small", 2)
    assert small.retrieval.passage_tokens == itr.retrieval.passage_tokens
    assert small.registration == itr.registration


def test_null_leaves_out_what_the_other_study_has_and_nothing_else(tmp_path):
    itr = load_study("itr")
    text = "extends: itr\nname: small\nconditions: {rag_reversed: null}\nclaude: null\ncorpus: {dev: null}\n"
    with pytest.raises(ValueError, match="condition 'rag_reversed' not one of"):  # a grid still asks it
        load_study(write(tmp_path, text))
    grids = "grids: {05_rag_comparison: null}\n"
    with pytest.raises(ValueError, match="claims.C9.*no grid up to 05_rag_comparison asks"):
        load_study(write(tmp_path, text + grids))  # and its claims still compare what it asked
    grids += "claims: {C9: null, C10: null, C11: null, C12: null}\n"
    small = load_study(write(tmp_path, text + grids))
    assert set(itr.conditions) - set(small.conditions) == {"rag_reversed"}
    assert set(itr.grids) - set(small.grids) == {"05_rag_comparison"}
    assert (small.claude, small.corpus.dev, small.corpus.wordings) == (None, None, itr.corpus.wordings)
    with pytest.raises(ValueError, match="conditions.rag_revresed"):
        load_study(write(tmp_path, "extends: itr\nname: small\nconditions: {rag_revresed: null}\n"))


@pytest.mark.parametrize("name", ["", "name: itr\n"])
def test_a_study_that_extends_another_has_a_name_of_its_own(tmp_path, name):
    with pytest.raises(ValueError, match=r"broken\.yaml:\d: name: a study that extends itr\.yaml needs one of its own"):
        load_study(write(tmp_path, f"extends: itr\n{name}retrieval: {{k: 2}}\n"))


def test_a_study_may_extend_one_that_extends_another(tmp_path):
    middle = write(tmp_path, "extends: itr\nname: middle\nretrieval: {k: 2}\n")
    (tmp_path / "last.yaml").write_text(f"extends: {middle}\nname: last\nretrieval: {{passage_tokens: 40}}\n")
    last = load_study(str(tmp_path / "last.yaml"))
    assert (last.name, last.retrieval.k, last.retrieval.passage_tokens) == ("last", 2, 40)
    assert last.corpus == load_study("itr").corpus


def fault(path):
    with pytest.raises(ValueError) as caught:
        load_study(str(path))
    return str(caught.value)


def test_a_fault_of_the_study_that_is_extended_is_named_there(tmp_path):
    middle = write(tmp_path, "extends: itr\nname: middle\nretrieval:\n  k: 99\n", "middle.yaml")
    last = write(tmp_path, f"extends: {middle}\nname: last\nretrieval: {{passage_tokens: 40}}\n", "last.yaml")
    assert fault(last).startswith("middle.yaml:4: retrieval.k: ")
    over = write(tmp_path, f"extends: {middle}\nname: last\nretrieval: {{k: 98}}\n", "last.yaml")
    assert fault(over).startswith("last.yaml:3: retrieval.k: ")


def test_a_fault_below_a_list_is_named_in_the_file_whose_list_it_is(tmp_path):
    contrast = "{a: base, probe: paraphrase, metric: accuracy, direction: less}"
    text = f"extends: itr\nname: last\nclaims:\n  C1:\n    contrasts:\n      - {contrast}\n"
    assert fault(write(tmp_path, text)).startswith("broken.yaml:6: claims.C1.contrasts.0.margin: Field required")


def test_a_fault_of_a_merged_key_is_named_where_it_is_written(tmp_path):
    recipes = "recipes:\n  lora_r8: &r8\n    rank: 0\n  lora_r64:\n    <<: *r8\n    alpha: 8\n"
    lines = fault(write(tmp_path, "extends: itr\nname: last\n" + recipes)).splitlines()
    assert [line.split(": Input")[0] for line in lines] == [
        "broken.yaml:5: recipes.lora_r8.rank",
        "broken.yaml:5: recipes.lora_r64.rank",
    ]


def test_a_study_in_another_encoding_is_named_with_its_line(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_bytes(STUDY.replace("A tiny", "A “tiny”").encode("cp1252"))
    assert fault(path) == f"{path}:3: not UTF-8 (byte 0x93); save the file as UTF-8"


def test_a_claim_may_rest_on_what_earlier_notebooks_asked_and_not_on_later_ones(tmp_path):
    later = STUDY.replace("\nclaims:", "  02_second:\n    - {conditions: [pages], probes: [paraphrase]}\n\nclaims:")
    pages = later.replace("{a: tuned, b: base,", "{a: pages, b: base,")
    assert "no grid up to 01_first asks 'pages'" in fault(write(tmp_path, pages))
    assert load_study(write(tmp_path, pages.replace("notebook: 01_first", "notebook: 02_second")))


def test_a_claim_may_rest_on_what_no_grid_asks_and_on_the_hybrid_that_one_does(tmp_path):
    kept = "{a: tuned, b: floor, probe: kept, metric: kept"
    for unasked in (
        "{a: tuned, b: even, probe: training, metric: loss",
        "{a: tuned, b: even, probe: training, metric: gradient_cosine",
        "{a: tuned, probe: training, metric: gradient_link",
        "{a: full, b: pages, probe: paraphrase, metric: latency_ms",
    ):
        text = STUDY.replace(kept, unasked)
        text = text.replace("  floor: {w", "  even: {weights: even}\n  floor: {w")
        assert load_study(write(tmp_path, text)).claims["C1"].contrasts[1].a in unasked
    hybrid = STUDY.replace("[base, rag, both]", "[base, rag, hybrid]")
    hybrid = hybrid.replace(kept, "{a: hybrid, b: rag, probe: unanswerable, metric: answered")
    assert load_study(write(tmp_path, hybrid)).claims["C1"].contrasts[1].a == "hybrid"


def test_studies_that_extend_each_other_are_refused(tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(f"extends: {two}\nname: one\n")
    two.write_text(f"extends: {one}\nname: two\n")
    with pytest.raises(ValueError, match=r"two\.yaml: extends one\.yaml, which extends it"):
        load_study(str(one))


def test_a_recipe_needs_rank_and_alpha_for_lora_alone():
    common = {"data": "raw", "learning_rate": 1e-4, "epochs": 1}
    assert Recipe(**common, method="full").rank is None
    assert Recipe(**common, rank=8, alpha=16).method == "lora"
    for wrong in ({"rank": 8}, {"alpha": 8}, {}, {"method": "full", "alpha": 8}):
        with pytest.raises(ValueError, match="rank and alpha"):
            Recipe(**common, **wrong)


def test_what_a_recipe_does_not_say_never_changes_its_meaning():
    """Keys of trained weights leave defaults out: with another default, old weights would pass for new ones."""
    recipe = Recipe(data="raw", rank=8, alpha=8, learning_rate=1e-4, epochs=1)
    assert {name: value for name, value in recipe if name not in recipe.model_fields_set} == {
        "method": "lora",
        "rslora": False,
        "dora": False,
        "target_modules": "all-linear",
        "conflicts": "kept",
        "batch_size": 8,
        "facts": None,
        "split": "test",
        "seeds": (0,),
    }


def test_what_came_after_the_first_registrations_is_in_no_dump_until_it_is_used():
    common = {"data": "raw", "rank": 8, "alpha": 8, "learning_rate": 1e-4, "epochs": 1}
    first = {*common, "method", "batch_size", "facts", "seeds"}
    assert set(Recipe(**common).model_dump()) == first
    used = {"rslora": True, "dora": True, "target_modules": "attention", "conflicts": "projected", "split": "dev"}
    assert Recipe(**common, **used).model_dump().items() >= used.items()


def test_a_batch_that_one_process_must_see_whole_is_shared_by_none(tmp_path):
    shared = "accelerate: studies/accelerate/data_parallel.yaml\n" + STUDY
    unused = shared.replace("{data: uniform, rank: 8,", "{data: uniform, conflicts: projected, rank: 8,")
    assert load_study(write(tmp_path, unused)).recipes["even"].conflicts == "projected"
    asked = shared.replace("{data: raw, rank: 8,", "{data: raw, conflicts: projected, rank: 8,")
    assert asked != shared
    with pytest.raises(ValueError, match="yaml:1: accelerate: .*both projects conflicts, .* no grid and no claim"):
        load_study(write(tmp_path, asked))
    assert load_study(write(tmp_path, asked.split("\n", 1)[1])).accelerate is None


CLAUDE = "claude: {answer_model: a, judge_model: b}\n"


def test_who_judges_is_said_by_the_study_and_overridden_by_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "tiny.yaml"
    file.write_text(STUDY + CLAUDE)
    by_keyfacts = load_study(str(file))
    monkeypatch.setenv("JUDGE", "claude")
    by_claude = load_study(str(file))
    assert (by_keyfacts.judge, by_claude.judge) == ("keyfacts", "claude")
    assert by_claude.model_dump() != by_keyfacts.model_dump()  # what a notebook's run depends on
    file.write_text(STUDY + CLAUDE + "judge: claude\n")
    monkeypatch.setenv("JUDGE", "keyfacts")
    assert load_study(str(file)).judge == "keyfacts"
    monkeypatch.delenv("JUDGE")
    assert load_study(str(file)).judge == "claude"


def test_an_unknown_judge_or_one_without_its_models_is_named(tmp_path, monkeypatch):
    file = tmp_path / "tiny.yaml"
    file.write_text(STUDY + "judge: claude\n")
    with pytest.raises(ValueError, match=r"tiny.yaml:\d+: judge: .*section `claude`"):
        load_study(str(file))
    monkeypatch.setenv("JUDGE", "gpt")
    with pytest.raises(ValueError, match="environment variable JUDGE: 'gpt' not one of keyfacts, claude"):
        load_study(str(file))


def test_what_is_measured_of_gradients_is_registered(tmp_path):
    measured = load_study(write(tmp_path, STUDY))
    fewer = load_study(write(tmp_path, STUDY.replace("items: 8", "items: 6")))
    assert fewer.registration != measured.registration
    assert measured.gradients.halfway == 2
    line = next(line for line in STUDY.splitlines(keepends=True) if line.startswith("gradients:"))
    without = load_study(write(tmp_path, STUDY.replace(line, "")))
    assert without.gradients is None
    assert without.registration != measured.registration
