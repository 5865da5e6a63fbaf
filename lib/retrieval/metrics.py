"""How well passages are found: recall@k, reciprocal rank and nDCG on gold passages, by ir-measures."""

from collections.abc import Mapping, Sequence

import ir_measures
import pandas as pd
from ir_measures import RR, R, nDCG


def retrieval_scores(found: Mapping[str, Sequence[str]], gold: Mapping[str, set[str]], k: int) -> pd.DataFrame:
    """One row a question: recall@k, mrr (reciprocal rank within k) and nDCG@k, each from 0 to 1.

    Args: found maps question id to passage ids, best first; gold maps question id to the passages that state its fact.
    Raises ValueError for a question without a gold passage: its recall is undefined.
    """
    without = [question for question in found if not gold.get(question)]
    if without:
        raise ValueError(f"no gold passage for {without[:3]}; recall is undefined")
    qrels = [ir_measures.Qrel(q, p, 1) for q in found for p in sorted(gold[q])]
    # Scores of 1/rank are strictly decreasing, so no library's rule for ties can matter.
    run = [ir_measures.ScoredDoc(q, p, 1 / rank) for q, ids in found.items() for rank, p in enumerate(ids, 1)]
    names = {R @ k: "recall", RR @ k: "mrr", nDCG @ k: "ndcg"}
    values = [
        {"question_id": metric.query_id, "metric": names[metric.measure], "value": metric.value}
        for metric in ir_measures.iter_calc(list(names), qrels, run)
    ]
    return pd.DataFrame(values).pivot(index="question_id", columns="metric", values="value").reindex(list(found))
