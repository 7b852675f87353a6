import pandas as pd

from selcn.data.subset import draw_lesions


def test_drawn_lesions_keep_all_images_even_classes_and_labelled_symmetry_first() -> None:
    rows = [
        {
            "image_id": f"{diagnosis}{n}-{shot}",
            "lesion_id": f"{diagnosis}{n}",
            "diagnosis": diagnosis,
            "symmetry": symmetry,
        }
        for diagnosis, count in (("nv", 40), ("mel", 20), ("df", 3))
        for n in range(count)
        for shot, symmetry in enumerate(["", "asymmetric" if n < 8 else ""])
    ]
    drawn = draw_lesions(pd.DataFrame(rows), 19, seed=0)
    lesions = drawn.drop_duplicates("lesion_id")
    assert lesions["diagnosis"].value_counts().to_dict() == {"nv": 8, "mel": 8, "df": 3}
    assert len(drawn) == 2 * len(lesions)
    assert (drawn["symmetry"] != "").sum() == 19
