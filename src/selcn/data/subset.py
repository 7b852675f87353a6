"""A small study's lesions, drawn from a large catalog."""

import numpy as np
import pandas as pd


def draw_lesions(table: pd.DataFrame, lesions: int, seed: int) -> pd.DataFrame:
    """Keep about ``lesions`` lesions: class by class the same number, rare classes whole, labelled symmetry first.

    Every image of a kept lesion stays. Lesions are dealt in rounds, one of each diagnosis a round.
    """
    order = np.random.default_rng(seed).permutation(len(table))
    shuffled = table.iloc[order]
    first = shuffled.assign(labelled=shuffled["symmetry"] != "").sort_values("labelled", ascending=False, kind="stable")
    first = first.drop_duplicates("lesion_id")
    first = first.assign(round=first.groupby("diagnosis").cumcount()).sort_values("round", kind="stable")
    return table[table["lesion_id"].isin(first["lesion_id"].head(lesions))].reset_index(drop=True)
