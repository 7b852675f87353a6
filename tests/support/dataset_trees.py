"""Small trees in the shapes in which public data sets are published, written to the current folder."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from selcn.data.imaging.read import write_image
from selcn.data.sources.milk10k import CLASSES as MILK10K

HAM = ["nv", "mel", "bkl", "bcc", "akiec", "vasc", "df"]
ISIC2019 = ["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"]


def draw(*paths: str | Path) -> None:
    """Write noise of each path's own."""
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = [*path.as_posix().encode()]
        write_image(path, np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8))


def mask(*paths: str) -> None:
    """Write the mask of a square."""
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        lesion = np.zeros((48, 64), np.uint8)
        lesion[12:36, 16:48] = 255
        write_image(path, lesion)


def table(path: str, header: str, rows: Iterable[str]) -> None:
    """Write a CSV; without a header where that is empty."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("\n".join([*([header] if header else []), *rows, ""]), encoding="utf-8")


def dealt(classes: list[str], each: int = 4) -> list[tuple[int, str]]:
    """A number and a class of each image, the classes in turn."""
    return list(enumerate(classes * each))


def again(number: int, count: int) -> int:
    """The lesion of an image; each of the first ``count`` images shows that of a later image of its class."""
    return number + count if number < count else number


def hot(name: str, classes: list[str]) -> str:
    return ",".join("1.0" if name == one else "0.0" for one in classes)


def symderm(names: Iterable[str]) -> None:
    """Labels of eight images, symmetric about two axes and not at all in turn."""
    rows = [f"{name},{name},x,{2 * (number % 2)}" for number, name in enumerate(names)]
    table("SymDerm/SymDerm_v2_labels.csv", "File,Mask,Dataset,labels_symmetry", rows[:8])


def ham10000() -> None:
    """Two images of the first lesion of each class, one of the others."""
    rows = []
    for number, name in dealt(HAM, 5):
        image = f"ISIC_00243{number:02d}"
        draw(f"HAM10000/HAM10000_images_part_{1 + number % 2}/{image}.jpg")
        mask(f"HAM10000/HAM10000_segmentations_lesion_tschandl/{image}_segmentation.png")
        rows.append(f"HAM_{again(number, 7)},{image},{name},histo,55.0,male,back")
    table("HAM10000/HAM10000_metadata.csv", "lesion_id,image_id,dx,dx_type,age,sex,localization", rows)
    symderm(f"ISIC_00243{number:02d}.jpg" for number in range(7, 15))


def isic2016() -> None:
    truth = dealt(["benign", "malignant"])
    for number, _ in truth:
        draw(f"ISIC2016/ISBI2016_ISIC_Part1_Training_Data/ISIC_000000{number}.jpg")
        mask(f"ISIC2016/ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_000000{number}_Segmentation.png")
    table("ISIC2016/ISBI2016_ISIC_Part3_Training_GroundTruth.csv", "", (f"ISIC_000000{n},{name}" for n, name in truth))
    draw("ISIC2016/ISBI2016_ISIC_Part1_Test_Data/ISIC_0000009.jpg")
    table("ISIC2016/ISBI2016_ISIC_Part3_Test_GroundTruth.csv", "", ["ISIC_0000009,1.0"])


def isic2017() -> None:
    truth = dealt(["0.0,0.0", "1.0,0.0", "0.0,1.0"])
    for number, _ in truth:
        draw(f"ISIC2017/ISIC-2017_Training_Data/ISIC_00000{number:02d}.jpg")
        draw(f"ISIC2017/ISIC-2017_Training_Data/ISIC_00000{number:02d}_superpixels.png")
        mask(f"ISIC2017/ISIC-2017_Training_Part1_GroundTruth/ISIC_00000{number:02d}_segmentation.png")
    table(
        "ISIC2017/ISIC-2017_Training_Part3_GroundTruth.csv",
        "image_id,melanoma,seborrheic_keratosis",
        (f"ISIC_00000{number:02d},{values}" for number, values in truth),
    )
    table(
        "ISIC2017/ISIC-2017_Training_Data/ISIC-2017_Training_Data_metadata.csv",
        "image_id,age_approximate,sex",
        (f"ISIC_00000{number:02d},55,female" for number, _ in truth),
    )


def isic2018() -> None:
    """Task 1 without diagnoses, task 2, and task 3."""
    for number in range(4):
        draw(f"ISIC2018/ISIC2018_Task1-2_Training_Input/ISIC_000000{number}.jpg")
        mask(f"ISIC2018/ISIC2018_Task1_Training_GroundTruth/ISIC_000000{number}_segmentation.png")
    mask("ISIC2018/ISIC2018_Task2_Training_GroundTruth_v3/ISIC_0000000_attribute_globules.png")
    classes = ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    truth = dealt(classes, 5)
    for number, _ in truth:
        draw(f"ISIC2018/ISIC2018_Task3_Training_Input/ISIC_00243{number:02d}.jpg")
    table(
        "ISIC2018/ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv",
        "image," + ",".join(classes),
        (f"ISIC_00243{number:02d},{hot(name, classes)}" for number, name in truth),
    )
    table(
        "ISIC2018/ISIC2018_Task3_Training_LesionGroupings.csv",
        "image,lesion_id,diagnosis_confirm_type",
        (f"ISIC_00243{number:02d},HAM_{again(number, 7)},histopathology" for number, _ in truth),
    )


def isic2019() -> None:
    """Two images are of MSK, without a lesion."""
    truth = dealt(ISIC2019, 5)
    names = [f"ISIC_00000{number:02d}" + "_downsampled" * (number < 2) for number, _ in truth]
    draw(*(f"ISIC2019/ISIC_2019_Training_Input/{name}.jpg" for name in names))
    table(
        "ISIC2019/ISIC_2019_Training_GroundTruth.csv",
        "image," + ",".join(ISIC2019),
        (f"{name},{hot(one, ISIC2019)}" for name, (_, one) in zip(names, truth, strict=True)),
    )
    table(
        "ISIC2019/ISIC_2019_Training_Metadata.csv",
        "image,age_approx,anatom_site_general,lesion_id,sex",
        (f"{name},55.0,anterior torso,{'' if n < 2 else f'BCN_{again(n, 9)}'},male" for n, name in enumerate(names)),
    )


def isic2020() -> None:
    """Three images a patient; lesion ids of the second version of the table."""
    said = ["unknown,benign,0", "melanoma,malignant,1", "nevus,benign,0"]
    head = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target"
    rows = [
        (f"ISIC_00000{number:02d}", f"IP_{number // 3}", f"male,45.0,torso,{values}")
        for number, values in dealt(said, 5)
    ]
    draw(*(f"ISIC2020/train/{name}.jpg" for name, _, _ in rows))
    table("ISIC2020/ISIC_2020_Training_GroundTruth.csv", head, map(",".join, rows))
    table(
        "ISIC2020/ISIC_2020_Training_GroundTruth_v2.csv",
        head.replace("patient_id", "patient_id,lesion_id"),
        (f"{name},{patient},IL_{name},{rest}" for name, patient, rest in rows),
    )
    draw("ISIC2020/test/ISIC_0000099.jpg")
    table("ISIC2020/sample_submission.csv", "image_name,target", ["ISIC_0000099,0"])
    table("ISIC2020/ISIC_2020_Training_Duplicates.csv", "image_name_1,image_name_2", ["ISIC_0000000,ISIC_0000001"])


def isic2024() -> None:
    """Kaggle's table: one patient a pair of images, lesion ids of those that were biopsied."""
    head = "isic_id,target,patient_id,age_approx,sex,anatom_site_general,tbp_lv_areaMM2,lesion_id,iddx_full"
    levels = ",iddx_1,iddx_2,iddx_3,iddx_4,iddx_5"
    said = [
        (0, "", "Benign,Benign,,,,"),
        (1, "IL_{}", "x,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma in situ,,"),
        (0, "IL_{}", "x,Indeterminate,Indeterminate melanocytic proliferations,Atypical intraepithelial,,"),
    ]
    rows = []
    for number, (target, lesion, diagnosis) in enumerate(said * 6):
        draw(f"ISIC2024/train-image/image/ISIC_00156{number:02d}.jpg")
        rows.append(
            f"ISIC_00156{number:02d},{target},IP_{number // 2},60,male,torso,3.1,{lesion.format(number)},{diagnosis}"
        )
    table("ISIC2024/train-metadata.csv", head + levels, rows)
    table("ISIC2024/test-metadata.csv", "isic_id,patient_id,age_approx,sex", ["ISIC_0015657,IP_99,45,male"])


def bcn20000() -> None:
    truth = dealt(ISIC2019[:8], 5)
    rows = []
    for number, name in truth:
        draw(f"BCN20000/BCN_20k_train/bcn_20k_train/BCN_00000000{number:02d}.jpg")
        rows.append(
            f"BCN_00000000{number:02d}.jpg,55.0,anterior torso,{name},BCN_{again(number, 8)},2012-05-16,male,train"
        )
    head = "bcn_filename,age_approx,anatom_site_general,diagnosis,lesion_id,capture_date,sex,split"
    table("BCN20000/bcn_20k_train.csv", head, rows)
    draw("BCN20000/BCN_20k_test/bcn_20k_test/BCN_0000000099.jpg")


def milk10k() -> None:
    metadata, truth = [], []
    for number, name in dealt(MILK10K):
        for kind, image in (
            ("clinical: close-up", f"ISIC_10000{number:02d}"),
            ("dermoscopic", f"ISIC_20000{number:02d}"),
        ):
            draw(f"MILK10k/MILK10k_Training_Input/IL_{number}/{image}.jpg")
            metadata.append(f"IL_{number},{kind},{image},MUV,CC-BY-NC,instrument only,60,male")
        truth.append(f"IL_{number},{hot(name, MILK10K)}")
    head = "lesion_id,image_type,isic_id,attribution,copyright_license,image_manipulation,age_approx,sex"
    table("MILK10k/MILK10k_Training_Metadata.csv", head, metadata)
    table("MILK10k/MILK10k_Training_GroundTruth.csv", "lesion_id," + ",".join(MILK10K), truth)


def ph2() -> None:
    rows = ["|| Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Pigment Network || Colors ||"]
    for number, _ in dealt(["0", "1", "2"]):
        folder = f"PH2Dataset/PH2 Dataset images/IMD{number:03d}"
        draw(f"{folder}/IMD{number:03d}_Dermoscopic_Image/IMD{number:03d}.bmp")
        mask(f"{folder}/IMD{number:03d}_lesion/IMD{number:03d}_lesion.bmp")
        rows.append(f"|| IMD{number:03d} ||  || {number % 3} || {number % 3} | T || 4 ||")
    table("PH2Dataset/PH2_dataset.txt", "", rows)


def derm7pt() -> None:
    """Twenty-four cases to train on, five to test on, which have SymDerm's labels with three others."""
    said = ["basal cell carcinoma", "clark nevus", "melanoma (in situ)", "seborrheic keratosis", "vascular lesion"]
    cases = dealt([*said, "melanoma metastasis"]) + [(24 + number, name) for number, name in enumerate(said)]
    rows = []
    for number, name in cases:
        draw(f"release_v0/images/NEL/NEL{2 * number:03d}.JPG", f"release_v0/images/NEL/Nel{2 * number + 1:03d}.jpg")
        streaks = ("absent", "regular", "irregular")[number % 3]
        rows.append(
            f"{number + 1},{name},1,typical,{streaks},absent,absent,absent,absent,absent,low,flat,back,male,excision,"
            f"NEL/NEL{2 * number:03d}.JPG,NEL/Nel{2 * number + 1:03d}.jpg,,"
        )
    head = (
        "case_num,diagnosis,seven_point_score,pigment_network,streaks,pigmentation,regression_structures,"
        "dots_and_globules,blue_whitish_veil,vascular_structures,level_of_diagnostic_difficulty,elevation,location,sex,"
        "management,clinic,derm,case_id,notes"
    )
    table("release_v0/meta/meta.csv", head, rows)
    for subset, numbers in (("train", range(18)), ("valid", range(18, 24)), ("test", range(24, 29))):
        table(f"release_v0/meta/{subset}_indexes.csv", "indexes", map(str, numbers))
    symderm(f"Nel{2 * number + 1:03d}.jpg" for number in range(8))


def pad_ufes_20() -> None:
    """Two lesions a patient, the first of them in two images."""
    rows = []
    for number, name in dealt(["BCC", "ACK", "NEV", "SEK", "SCC", "MEL"], 9):
        patient, lesion = number // 3, number // 3 * 2 + (number % 3 == 2)
        image = f"PAT_{patient}_{lesion}_{number}.png"
        draw(f"PAD-UFES-20/images/imgs_part_{1 + number % 3}/{image}")
        rows.append(
            f"PAT_{patient},{lesion},False,,,,55,,FEMALE,True,True,True,True,3.0,NECK,6.0,5.0,{name},True,{image},True"
        )
    head = (
        "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,skin_cancer_history,"
        "cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,diameter_1,diameter_2,diagnostic,itch,"
        "img_id,biopsed"
    )
    table("PAD-UFES-20/metadata.csv", head, rows)


def fitzpatrick17k() -> None:
    said = [
        "psoriasis,inflammatory,non-neoplastic",
        "dermatofibroma,benign dermal,benign",
        "superficial spreading melanoma ssm,malignant melanoma,malignant",
    ]
    rows = []
    for number, values in dealt(said):
        draw(f"fitzpatrick17k/images/{number:032x}.jpg")
        rows.append(f"{number:032x},{number % 6 + 1},3,{values},,https://x/{number}.jpg")
    head = "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url"
    table("fitzpatrick17k/fitzpatrick17k.csv", head, rows)


def dermnet() -> None:
    for name in ("Melanoma Skin Cancer Nevi and Moles", "Vascular Tumors", "Eczema Photos", "Systemic Disease"):
        stem = name.split()[0].lower()
        draw(*(f"DermNet/train/{name}/{stem}-{number}.jpg" for number in range(4)))
        draw(f"DermNet/test/{name}/{stem}-9.jpg")


def own() -> None:
    """A folder a class; and a table, in which a patient has two lesions, one of them photographed twice."""
    for name in ("Melanoma", "nevi", "wart"):
        draw(*(f"photographs/{name}/{name}-{number}.png" for number in range(4)))
        mask(*(f"masks/{name}-{number}_mask.png" for number in range(3)))
    rows = []
    for number, name in dealt(["Nevus", "melanoma, superficial", "Nevus"]):
        draw(f"archive/2024/{number}.png")
        rows.append(f'{number}.png,"{name}",P{number // 3},L{number // 3}{number % 2}')
    table("archive/table.csv", "file,dx,patient,lesion", rows)
