"""Rows as a notebook saves them, made up for tests of what is computed from rows."""


def rows(condition, results, *, seed=0, facts=None, **changes) -> list[dict]:
    """One row a fact: results[i] says whether fact i is right."""
    facts = facts or [f"f{place:03}" for place in range(len(results))]
    return [
        {
            "question_id": f"{fact}/paraphrase",
            "fact_ids": [fact],
            "probe": "paraphrase",
            "value_type": "amount",
            "condition": condition,
            "seed": seed,
            "verdict": "CORRECT" if right else "INCORRECT",
            "verdict_relaxed": "CORRECT" if right else "INCORRECT",
            "style": bool(right),
            "json_valid": bool(right),
            "prompt_tokens": 10,
            **changes,
        }
        for fact, right in zip(facts, results, strict=True)
    ]
