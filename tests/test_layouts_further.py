"""Folders and tables of still more public sets as they are downloaded. Each row names the set it stands for."""

import hashlib

import pytest

from tests.layout_support import differences, layout, rows, texts
from tests.table_layouts import TWO, table_of
from tests.test_folder_layouts import names as numbered
from tests.test_folder_layouts import product

THREE = numbered("img_#.png")
GRADES = list("01234")


def key(seed, length=32):
    """Return a hash as a name."""
    return hashlib.md5(str(seed).encode()).hexdigest()[:length]


SKIN = ["1. Eczema 1677", "4. Basal Cell Carcinoma (BCC) 3323", "5. Melanocytic Nevi (NV) - 7970"]
ECG = ["ECG Images of Myocardial Infarction Patients (240x12=2880)", "Normal Person ECG Images (284x12=3408)",
       "ECG Images of Patient that have abnormal heartbeat (233x12=2796)"]
FOLDERS = {      # the public set: (images, what a person expects)
    "Kvasir-Capsule, videos in names": (
        [f"labelled_images/{c}/{key(v, 16)}_{k}.jpg" for c in ("Angiectasia", "Normal clean mucosa") for v in (1, 2)
         for k in (893, 894)], dict(images=8, classes=["Angiectasia", "Normal clean mucosa"], patients=2)),
    "ALL-IDB1, the label is the last digit": (
        [f"ALL_IDB1/im/Im{k:03d}_{int(k < 7)}.jpg" for k in range(1, 13)], dict(images=12, classes=["healthy", "leukemia"])),
    "ACRIMA, _g_ in names": (
        [f"Database/Images/Im{k:03d}{'_g' * (k > 6)}_ACRIMA.jpg" for k in range(1, 13)],
        dict(images=12, classes=["glaucoma", "normal"])),
    "retinopathy of prematurity of Ostrava, diagnoses in names": (
        [f"images_stack_without_captions/{p:03d}_{'FM'[p % 2]}_GA41_BW2905_PA44_DG{d}_PF0_D1_S01_{k}.jpg"
         for p, d in ((1, 11), (2, 11), (3, 2), (4, 2)) for k in (1, 2)], dict(images=8, classes=["2", "11"], patients=4)),
    "OCTDL, eyes in names": (
        [f"OCTDL/{c}/{c.lower()}_{n}_{k}.jpg" for c, ns in (("AMD", (1047099, 1047100)), ("NO", (1047300, 1047301))) for n in ns
         for k in (1, 2)],
        dict(images=8, classes=["AMD", "NO"], patients=4)),
    "PAPILA, OD and OS": (
        [f"{d}/RET{k:03d}{e}.jpg" for d in ("FundusImages", "ExpertsSegmentations/ImagesWithContours") for k in (2, 3, 4)
         for e in ("OD", "OS")], dict(images=6, patients=3, left_out={"mask": 6})),
    "Camelyon17 patches": (
        [f"patches/patient_{p:03d}_node_{n}/patch_patient_{p:03d}_node_{n}_x_{k}_y_2.png" for p in (4, 9, 10) for n in (1, 2)
         for k in (3328, 3424)], dict(images=12, patients=3, classes=["unlabelled"])),
    "ECG images, classes with how many there are": (
        product(["ECG Data"], ECG, THREE), dict(images=9, classes=ECG, patients=None)),
    "skin diseases, classes with how many there are": (
        product(["IMG_CLASSES"], SKIN, THREE), dict(images=9, classes=SKIN, patients=None)),
    "OSCC histopathology, First Set and Second Set": (
        product(["First Set", "Second Set"], ["100x Normal Oral Cavity Images", "100x OSCC Images"], THREE),
        dict(images=12, classes=["100x Normal Oral Cavity Images", "100x OSCC Images"], patients=None)),
    "NuInsSeg, distance maps": (
        product(["human bladder", "human brain"], ["tissue images", "distance maps", "overlay", "label masks"], THREE),
        dict(images=6, classes=["human bladder", "human brain"], left_out={"mask": 6, "derived": 12})),
    "PolypGen, centres": (
        [f"PolypGen2021/data_C{c}/{d}" for c in (1, 2, 3) for k in (1, 2, 3) for d in (
            f"images_C{c}/{c}_endocv_{k}.jpg", f"masks_C{c}/{c}_endocv_{k}_mask.jpg",
            f"bbox_image_C{c}/{c}_endocv_{k}_mask_bbox.jpg")],
        dict(images=9, classes=["unlabelled"], left_out={"mask": 9, "derived": 9})),
    "PraNet's polyps, sources below test alone": (
        product(["TrainDataset"], "image mask", THREE)
        + product(["TestDataset"], "CVC-300 CVC-ClinicDB ETIS-LaribPolypDB", "images masks", THREE),
        dict(images=12, classes=["unlabelled"], left_out={"mask": 12})),
}


def g1020(root):
    """G1020: the same names in Images, Images_Cropped and Masks."""
    layout(root, [f"G1020/{d}_{i}{e}" for i in range(10) for d, e in (
        ("Images/image", ".jpg"), ("Images_Cropped/img/image", ".jpg"), ("Masks/image", ".png"))])
    texts(root, {"G1020/G1020.csv": table_of("imageID,binaryLabels", 10, lambda i: f"image_{i}.jpg,{int(i % 3 == 0)}")})
    return {"images": 10, "task": TWO, "left_out": {"not_listed": 20}}


def origa(root):
    """ORIGA: masks beside images are no classes."""
    layout(root, [f"ORIGA/{d}/{i:03}.{e}" for i in range(1, 11) for d, e in (("Images", "jpg"), ("Masks", "png"))])
    texts(root, {"ORIGA/OrigaList.csv": table_of("Eye,Filename,ExpCDR,Set,Glaucoma", 10, lambda i:
        f"{['OD', 'OS'][i % 2]},{i + 1:03}.jpg,0.7{i}1,{'AB'[i % 2]},{int(i % 3 == 0)}")})
    return {"images": 10, "task": TWO, "classes": ["0", "1"]}


def resized_twice(root):
    """Diabetic Retinopathy (resized): the images once more, cropped, with a table for each."""
    eyes = [f"{10 + i // 2}_{['left', 'right'][i % 2]}" for i in range(12)]
    layout(root, [f"{d}/{d}/{eye}.jpeg" for eye in eyes for d in ("resized_train", "resized_train_cropped")])
    texts(root, {"trainLabels.csv": rows("image,level", [f"{eye},{i // 2 % 5}" for i, eye in enumerate(eyes)]),
                 "trainLabels_cropped.csv": rows("Unnamed: 0,Unnamed: 0.1,image,level", [
                     f"{i},{i},{eye},{i // 2 % 5}" for i, eye in enumerate(eyes)])})
    return {"images": 12, "patients": 6, "classes": GRADES}


def cbis_of_kaggle(root):
    """CBIS-DDSM of Kaggle: JPEG in folders of a series, of which the tables tell the path of the DICOM."""
    lines, about = {}, []
    for n, table in enumerate(("mass train", "mass test", "calc train", "calc test")):
        for j in range(4):
            full, roi = (f"1.3.6.1.4.1.9590.100.1.2.{int(key((n, j, what), 12), 16)}" for what in "fr")
            files = [f"jpeg/{full}/1-11{j}.jpg", f"jpeg/{roi}/1-25{j}.jpg", f"jpeg/{roi}/2-24{j}.jpg"]
            layout(root, files)
            case = f"{table.title().replace(' ', '-')}_P_{n * 2 + j // 2:05}_LEFT_CC"
            lines.setdefault(table, []).append(
                f"P_{n * 2 + j // 2:05},LEFT,CC,{table[:4]},{['MALIGNANT', 'BENIGN'][j % 2]},4,{case}/1.2/{full}/000000.dcm,"
                f'{case}_1/1.3/{roi}/000001.dcm,"{case}_1/1.3/{roi}/000000.dcm\n"')
            about += [f"CBIS-DDSM/{f},{case},{what}" for f, what in zip(files, ("full mammogram images", "cropped images",
                                                                                 "ROI mask images"))]
    head = ("patient_id,left or right breast,image view,abnormality type,pathology,subtlety,image file path,"
            "cropped image file path,")
    texts(root, {f"csv/{table.replace(' ', '_case_description_')}_set.csv": rows(f"{head}ROI mask file path", cells)
                 for table, cells in lines.items()})
    texts(root, {"csv/dicom_info.csv": rows("image_path,PatientID,SeriesDescription", about)})
    return {"images": 16, "patients": 8, "classes": ["BENIGN", "MALIGNANT"], "splits": ["train", "test"],
            "left_out": {"not_listed": 32}}


TABLES = [g1020, origa, resized_twice, cbis_of_kaggle]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_a_public_set_is_read_as_a_person_expects(tmp_path, name):
    images, expect = FOLDERS[name]
    assert differences(layout(tmp_path / "set", images), expect) == []


@pytest.mark.parametrize("build", TABLES, ids=lambda build: build.__name__)
def test_a_table_of_a_public_set_is_read_as_a_person_expects(build, tmp_path):
    expect = build(tmp_path / "set")
    assert differences(tmp_path / "set", expect) == []
