"""Further folders as public sets are downloaded. Each row names the set it stands for; those of the kinds seen first are in
test_folder_layouts.py."""

from collections import Counter

import numpy as np
import pytest

from core.datasets.file_names import label_prefixes
from core.datasets.folder import Folder, FolderOptions
from core.datasets.level_names import splits_of
from core.datasets.level_words import denied
from core.datasets.levels import without_class
from core.datasets.masks import find_masks
from tests.layout_support import differences, layout, read_json
from tests.test_folder_layouts import names, product, put

TWO, THREE = names("img_#.png", n=4), names("img_#.png")
IQ = ["Bengin cases", "Malignant cases", "Normal cases"]
AML = "BAS EBO EOS KSC LYA LYT MMZ MOB MON MYB MYO NGB NGS PMB PMO".split()
GRADES = "0Normal 1Doubtful 2Mild 3Moderate 4Severe".split()
LAYOUTS = {
    "IQ-OTH/NCCD, test cases beside the classes": (
        product(["IQ/IQ"], IQ, names("case (#).jpg")) + names("IQ/Test cases/0000#.png"),
        dict(images=9, classes=IQ, left_out={"no_class": 3})),
    "IQ-OTH/NCCD, flat": (
        product(IQ, names("case (#).jpg")) + names("Test cases/0000#.png"), dict(images=9, classes=IQ, left_out={"no_class": 3})),
    "Br35H with pred": (product("yes no", TWO) + names("pred/pred#.jpg"), dict(images=8, classes=["no", "yes"])),
    "classes beside unlabeled": (product("NORMAL AMD unlabeled", TWO), dict(images=8, classes=["AMD", "NORMAL"])),
    "labeled beside unlabeled": (
        product(["labeled"], "mass clear", TWO) + names("unlabeled/#.png"), dict(images=8, classes=["clear", "mass"])),
    "a test folder without classes": (
        product(["train"], "benign malignant", TWO) + names("test/#.png"),
        dict(images=8, classes=["benign", "malignant"], left_out={"no_class": 3})),
    "DFU, patches in classes": (
        product(["DFU/Patches"], ["Abnormal(Ulcer)", "Normal(Healthy skin)"], THREE)
        + names("DFU/Original Images/#.jpg", "DFU/TestSet/t#.jpg"),
        dict(images=6, classes=["Abnormal(Ulcer)", "Normal(Healthy skin)"], left_out={"no_class": 6})),
    "BCCD of Kaggle (blood cells)": (
        product(["dataset2-master/dataset2-master/images"], "TRAIN TEST TEST_SIMPLE", "EOSINOPHIL LYMPHOCYTE", names("_0_#.jpeg"))
        + names("dataset-master/dataset-master/JPEGImages/BloodImage_0000#.jpg"),
        dict(images=18, classes=["EOSINOPHIL", "LYMPHOCYTE"], splits=["train", "test"])),
    "C-NMC leukemia": (
        [f"C/training_data/fold_{f}/{c}/UID_{'H' * (c == 'hem')}{p}_{i}_1_{c}.bmp" for f in range(3) for c in ("all", "hem")
         for p in (f * 2 + 1, f * 2 + 2) for i in (1, 2)] + names("C/testing_data/prelim/#.bmp"),
        dict(images=24, classes=["all", "hem"], patients=12, splits=["train"], left_out={"no_class": 3})),
    "ALL, original and segmented": (
        product("Original Segmented", "Benign Early Pre", names("WBC-00#.jpg")),
        dict(images=9, classes=["Benign", "Early", "Pre"], left_out={"derived": 9})),
    "original beside cropped": (
        product("original cropped", "benign malignant", TWO), dict(images=8, left_out={"derived": 8})),
    "NCT-CRC-HE-100K beside CRC-VAL-HE-7K": (
        product("NCT-CRC-HE-100K CRC-VAL-HE-7K", "ADI TUM STR", THREE), dict(images=18, classes=["ADI", "STR", "TUM"])),
    "classes above scanners": (
        product("keratitis scar", "Philips Siemens GE", THREE), dict(images=18, classes=["keratitis", "scar"])),
    "raw beside processed": (product("raw processed", "keratitis scar", TWO), dict(images=16, classes=["keratitis", "scar"])),
    "LAG, attention maps": (
        product("suspicious_glaucoma non_glaucoma", "image attention_map", names("0000#.jpg")),
        dict(images=6, classes=["non_glaucoma", "suspicious_glaucoma"], left_out={"derived": 6})),
    "REFUGE": (
        [f"{top}/{c}/{c[0]}{k}{end}" for c in ("Glaucoma", "Non-Glaucoma") for k in (1, 2, 3) for top, end in (
            ("REFUGE-Training400/Training400", ".jpg"), ("Annotation-Training400/Annotation-Training400/Disc_Cup_Masks", ".bmp"))]
        + names("REFUGE-Validation400/V#.jpg", "REFUGE-Test400/T#.jpg"),
        dict(images=6, classes=["Glaucoma", "Non-Glaucoma"], splits=["train"], left_out={"mask": 6, "no_class": 6})),
    "LGG (Buda), patients and masks": (
        [f"kaggle_3m/TCGA_CS_49{p}_19960909/TCGA_CS_49{p}_19960909_{i}{m}.tif" for p in (41, 42) for i in (1, 2, 3)
         for m in ("", "_mask")], dict(images=6, patients=2, classes=["unlabelled"], left_out={"mask": 6})),
    "UDIAT, original beside GT": (product("original GT", THREE), dict(images=3, left_out={"mask": 3})),
    "ETIS, Original beside Ground Truth": (product(["Original", "Ground Truth"], THREE), dict(images=3, left_out={"mask": 3})),
    "DRIVE": (
        [f"DRIVE/{s}/{d}" for s in ("training", "test") for k in (21, 22, 23) for d in (
            f"images/{k}_{s}.tif", f"1st_manual/{k}_manual1.gif", f"2nd_manual/{k}_manual2.gif", f"mask/{k}_{s}_mask.gif")],
        dict(images=6, left_out={"mask": 18}, classes=["unlabelled"])),
    "HRF": (
        [d for k in (1, 2, 3) for c in ("dr", "g", "h") for d in (
            f"images/0{k}_{c}.JPG", f"manual1/0{k}_{c}.tif", f"mask/0{k}_{c}_mask.tif")],
        dict(images=9, left_out={"mask": 18}, classes=["diabetic retinopathy", "glaucoma", "healthy"])),
    "PALM, classes in names of training only": (
        [f"PALM-Training400/PALM-Training400/{c}000{k}.jpg" for c in "HNP" for k in (1, 2, 3)]
        + names("PALM-Validation400/V#.jpg"),
        dict(images=9, classes=list("HNP"), splits=["train"], left_out={"no_class": 3})),
    "HyperKvasir, a tree of classes": (
        [f"labeled-images/{d}/{k}f{k}{k}a-12{k}.jpg" for d in (
            "lower-gi-tract/anatomical-landmarks/cecum", "lower-gi-tract/anatomical-landmarks/ileum",
            "lower-gi-tract/pathological-findings/polyps", "upper-gi-tract/anatomical-landmarks/pylorus",
            "upper-gi-tract/pathological-findings/esophagitis-a") for k in (1, 2, 3)],
        dict(images=15, classes=["cecum", "esophagitis-a", "ileum", "polyps", "pylorus"])),
    "MSLD (monkeypox), the set three times": (
        product(["MSLD/Original Images/Original Images"], ["Monkey Pox", "Others"], names("M01_0#.jpg"))
        + product(["MSLD/Augmented Images/Augmented Images"], ["Monkeypox_augmented", "Others_augmented"], names("M01_0#_00.jpg"))
        + product(["MSLD/Fold1/Fold1"], "Train Val Test", "Monkeypox Others", names("M01_0#.jpg")),
        dict(images=6, classes=["Monkey Pox", "Others"], left_out={"augmented": 24})),
    "classes beside a folder for testing": (
        product("normal tumor", THREE) + product(["test"], "normal tumor", TWO),
        dict(images=14, classes=["normal", "tumor"], splits=["train", "test"], split_counts={"train": 6, "test": 8})),
    "CHAOS, CT": (
        [f"CHAOS_Train_Sets/Train_Sets/CT/{p}/{d}" for p in (1, 2, 5) for k in (1, 2, 3)
         for d in (f"DICOM_anon/i000{k},0000b.png", f"Ground/liver_GT_00{k}.png")],
        dict(images=9, patients=3, classes=["unlabelled"], left_out={"mask": 9})),
    "CHAOS, MR": (
        [f"Train_Sets/MR/{p}/{s}/{d}/IMG-0004-0000{k}.png" for p in (1, 2, 5) for s in ("T1DUAL", "T2SPIR") for k in (1, 2, 3)
         for d in ("DICOM_anon", "Ground")],
        dict(images=18, patients=3, left_out={"mask": 18})),
    "splits in odd capitals": (
        product("trAin tEST vAl", "a b", THREE), dict(images=18, classes=["a", "b"], splits=["train", "val", "test"])),
    "ground glass is a finding": (
        product(["ground glass", "honeycombing"], THREE), dict(images=6, classes=["ground glass", "honeycombing"])),
    "IDRiD, segmentation": (
        [f"A. Segmentation/{d}" for s in ("a. Training Set", "b. Testing Set") for k in (1, 2, 3) for d in (
            f"1. Original Images/{s}/IDRiD_0{k}.jpg", f"2. All Segmentation Groundtruths/{s}/1. Microaneurysms/IDRiD_0{k}_MA.tif",
            f"2. All Segmentation Groundtruths/{s}/5. Optic Disc/IDRiD_0{k}_OD.tif")], dict(images=6, left_out={"mask": 12})),
    "FIVES": (
        [f"{s}/{d}/{k}_{'ADGN'[k % 4]}.png" for s in ("train", "test") for d in ("Original", "Ground truth")
         for k in range(1, 9)],
        dict(images=16, left_out={"mask": 16}, classes=list("ADGN"), splits=["train", "test"])),
    "TCIA, LIDC-IDRI": (
        [f"manifest-1/LIDC-IDRI/LIDC-IDRI-000{p}/01-01-2000-NA-NA-3017{p}/3000566.000000-NA-0319{p}/1-00{i}.png"
         for p in (1, 2, 3) for i in (1, 2)], dict(images=6, patients=3, classes=["unlabelled"])),
    "TCIA, Lung-PET-CT-Dx": (
        [f"m/Lung-PET-CT-Dx/Lung_Dx-{c}000{p}/04-0{p}-2007-NA-Chest-07990/2.000000-5mm-4080{p}/1-0{i}.png"
         for c in "AB" for p in (1, 2, 3) for i in (1, 2)], dict(images=12, patients=6)),
    "brain stroke of Teknofest, PNG and OVERLAY": (
        product("Bleeding Ischemia Normal", "PNG OVERLAY", THREE),
        dict(images=9, classes=["Bleeding", "Ischemia", "Normal"], left_out={"derived": 9})),
    "CT-ICH, masks that say more": (
        [f"Patients_CT/0{p}/brain/{i}" for p in (49, 50, 51) for i in ("1.jpg", "2.jpg", "14.jpg", "14_HGE_Seg.jpg")],
        dict(images=9, patients=3, left_out={"mask": 3})),
    "HC18": (names("training_set/00#_HC.png", "training_set/00#_HC_Annotation.png", "test_set/00#_HC.png"),
             dict(images=6, left_out={"mask": 3})),
    "PH2, as it is": (
        [f"PH2Dataset/PH2 Dataset images/IMD00{k}/{d}" for k in (2, 3, 4) for d in (
            f"IMD00{k}_Dermoscopic_Image/IMD00{k}.bmp", f"IMD00{k}_lesion/IMD00{k}_lesion.bmp",
            f"IMD00{k}_roi/IMD00{k}_R1_Label4.bmp")], dict(images=3, patients=3, left_out={"mask": 6})),
    "DermNet": (
        product("train test", ["Acne and Rosacea Photos", "Eczema Photos", "Nail Fungus and other Nail Disease"], THREE),
        dict(images=18, splits=["train", "test"])),
    "SIPaKMeD, crops inside": (
        [f"im_{c}/im_{c}/{d}" for c in ("Dyskeratotic", "Parabasal") for k in (1, 2, 3) for d in (
            f"00{k}.bmp", f"CROPPED/00{k}_01.bmp", f"CROPPED/00{k}_02.bmp")],
        dict(classes=["im_Dyskeratotic", "im_Parabasal"], left_out={"derived": 12})),
    "Parkinson drawings, doubled": (
        product(["drawings/spiral", "drawings/wave", "spiral", "wave"], "training testing", "healthy parkinson",
                names("V0#HE01.png")),
        dict(images=24, classes=["healthy", "parkinson"], splits=["train", "test"], left_out={"copy": 24})),
    "Train and Validation Set beside Test Set": (
        product(["Train and Validation Set", "Test Set"], "aca n scc", TWO),
        dict(images=24, classes=["aca", "n", "scc"], splits=["train", "test"])),
    "digital knee X-rays, two experts": (
        product("MedicalExpert-I MedicalExpert-II", GRADES, names("NormalG0 (#).png")), dict(classes=GRADES, images=30)),
    "TNBC, Slide and GT with numbers": (
        product("Slide_01 Slide_02 GT_01 GT_02", names("01_#.png")), dict(images=6, left_out={"mask": 6})),
    "GlaS, _anno": (names("W/testA_#.bmp", "W/testA_#_anno.bmp", "W/train_#.bmp", "W/train_#_anno.bmp"),
                    dict(images=6, left_out={"mask": 6})),
    "Data Science Bowl 2018": (
        [f"stage1_{s}/{h}{k}c3d4e5f6a7b8/{d}" for s, h in (("train", "a"), ("test", "b")) for k in (1, 2, 3) for d in (
            f"images/{h}{k}c3d4e5f6a7b8.png", *(f"masks/f{j}.png" for j in "12" if s == "train"))],
        dict(images=6, patients=6, classes=["unlabelled"], left_out={"mask": 6})),
    "dental radiographs, many kinds of mask": (
        product(["Images", "Expert mask", "Segmentation1", "abnormality mask"], names("#.jpg")),
        dict(images=3, left_out={"mask": 9})),
    "anemia, body parts above": (
        product("Conjunctiva Fingernails Palm", "Anemic Non-anemic", TWO), dict(images=24, classes=["Anemic", "Non-anemic"])),
    "AML-Cytomorphology_LMU, classes in three letters": (product(AML, THREE), dict(images=45, classes=AML, patients=None)),
    "AML of MLL Helmholtz, patients in three letters": (
        [f"{c}/{p}/image_{i}.tif" for c, some in (("CBFB_MYH11", "AEC ADB BGH LKJ TRE UZT PLM QWE"),
                                                  ("control", "MNB VCX YSA LKH GFD DSA POI ZTR")) for p in some.split()
         for i in (1, 2)], dict(images=32, classes=["CBFB_MYH11", "control"], patients=16)),
    "Duke OCT (Srinivasan), classes with the patient's number": (
        [f"Publication_Dataset/{c}{p}/TIFFs/8bitTIFFs/00{i}.tif" for c in ("AMD", "DME", "NORMAL") for p in (1, 2, 3)
         for i in (1, 2)], dict(images=18, classes=["AMD", "DME", "NORMAL"], patients=9)),
    "JSIEC, numbered classes": (
        product(["0.0.Normal", "0.3.DR1", "1.0.DR2", "10.0.Possible glaucoma"], THREE), dict(images=12, patients=None)),
    "lumbar spine MRI": (
        [f"01_MRI_Data/000{p}/L-SPINE_LSS_2016030{p}_091629/{s}/A_{i}.png" for p in (1, 2, 3)
         for s in ("LOCALIZER_0001", "T2_TSE_SAG_0002") for i in (1, 2)], dict(images=12, patients=3)),
    "classes mask and nomask": (product("mask nomask", TWO), dict(images=8, classes=["mask", "nomask"])),
    "classes lesion and healthy": (product("lesion healthy", TWO), dict(images=8, classes=["healthy", "lesion"])),
    "classes roi_benign and roi_malignant": (product("roi_benign roi_malignant", TWO), dict(images=8)),
    "image/CLASS beside label/CLASS in each split": (
        product("train test", "image label", "benign malignant", THREE),
        dict(images=12, classes=["benign", "malignant"], splits=["train", "test"], left_out={"mask": 12})),
    "x.mask.png": (names("benign/a#.png", "benign/a#.mask.png", "malignant/b#.png", "malignant/b#.mask.png"),
                   dict(images=6, left_out={"mask": 6})),
    "x-label.png of x.jpg": (names("benign/a#.jpg", "benign/a#-label.png", "malignant/b#.jpg", "malignant/b#-label.png"),
                             dict(images=6, left_out={"mask": 6})),
    "GT_x.png of x.jpg": (names("benign/a#.jpg", "benign/GT_a#.png", "malignant/b#.jpg", "malignant/GT_b#.png"),
                          dict(images=6, left_out={"mask": 6})),
    "brain tumour CT and MRI": (
        product(["Dataset/Brain Tumor CT scan Images", "Dataset/Brain Tumor MRI images"], "Healthy Tumor", THREE),
        dict(images=12, classes=["Healthy", "Tumor"])),
    "five folds": (
        product("fold1 fold2 fold3 fold4 fold5", "train test", "benign malignant", ["a.png", "b.png"]),
        dict(images=40, classes=["benign", "malignant"])),
    "RIM-ONE DL, divided twice": (
        product("partitioned_by_hospital partitioned_randomly", "training_set test_set", "glaucoma normal", THREE),
        dict(classes=["glaucoma", "normal"], splits=["train", "test"])),
    "magnifications outside": (
        product("40X 100X 200X 400X", "benign malignant", ["a.png", "b.png"]), dict(images=16, classes=["benign", "malignant"])),
    "G1020 and ORIGA, the same images prepared in other ways": (
        names("Images/image_#.jpg", "Images_Square/image_#.jpg", "Masks/image_#.png", "Masks_Square/image_#.png",
              "NerveRemoved_Images/image_#.jpg"), dict(images=3, classes=["unlabelled"], left_out={"mask": 6, "derived": 6})),
    "CVC-ClinicDB, PNG and TIF": (
        [f"{f}/{d}/{k}.{f.lower()}" for f in ("PNG", "TIF") for d in ("Original", "Ground Truth") for k in (1, 2, 3)],
        dict(images=3, left_out={"mask": 6, "derived": 3})),
    "brain stroke of Teknofest, PNG and DICOM": (
        [f"{c}/{f}/1000{k}.{e}" for c in ("Bleeding", "Normal") for f, e in (("PNG", "png"), ("DICOM", "dcm"))
         for k in (1, 2, 3)],
        dict(images=6, classes=["Bleeding", "Normal"], left_out={"derived": 6})),
    "GasHisSDB, sizes outside": (
        product("160 120", "Abnormal Normal", THREE), dict(images=12, classes=["Abnormal", "Normal"], patients=None)),
    "Raabin-WBC, Train and Test-A and Test-B": (
        product("Train Test-A Test-B", "Basophil Eosinophil", THREE),
        dict(images=18, classes=["Basophil", "Eosinophil"], splits=["train", "test"])),
    "bone marrow cells, folders of a thousand": (
        product("bm", "ABE ART", "0001-1000 1001-2000", THREE), dict(images=12, classes=["ABE", "ART"], patients=None)),
    "Intel cervix, test/test": (
        product("train", "Type_1 Type_2 Type_3", THREE) + names("test/test/#.jpg"),
        dict(images=9, classes=["Type_1", "Type_2", "Type_3"], left_out={"no_class": 3})),
    "numbered classes in train and test": (
        product("train test", "001 002 003", THREE), dict(images=18, classes=["001", "002", "003"], patients=None)),
    "Mini-DDSM": (
        [f"M/{c}/00{p}/C_00{p}_1.LEFT_CC{m}.jpg" for c, k in (("Benign", 2), ("Cancer", 4), ("Normal", 6))
         for p in (k * 10, k * 10 + 1) for m in ["", "_Mask"][:1 + (k < 6)]],
        dict(images=6, classes=["Benign", "Cancer", "Normal"], patients=6, left_out={"mask": 4})),
    "Drishti-GS": (
        [f"D/{s}/{d}" for s in ("Training", "Test") for c, ks in (("GLAUCOMA", (1, 2)), ("NORMAL", (4, 5))) for k in ks
         for d in (f"Images/{c}/d_00{k}.png", f"{'Test_' * (s == 'Test')}GT/d_00{k}/SoftMap/d_00{k}_ODsegSoftmap.png")],
        dict(images=8, classes=["GLAUCOMA", "NORMAL"], splits=["train", "test"], left_out={"mask": 8})),
    "SPGC, patients named by class": (
        [f"SPGC/{c} Cases/{p}00{k}/IM{i}.png" for c, p in (("Cap", "cap"), ("COVID-19", "P"), ("Normal", "normal"))
         for k in (1, 2, 3) for i in (1, 2)],
        dict(images=18, classes=["Cap Cases", "COVID-19 Cases", "Normal Cases"], patients=9)),
    "LIMUC, grades below numbered patients": (
        [f"patient_based/{p}/Mayo {g}/UC_patient_{p}_{k}.bmp" for p in (1, 2, 3) for g in (0, 1, 2) for k in (1, 2)],
        dict(images=18, classes=["Mayo 0", "Mayo 1", "Mayo 2"], patients=3)),
    "folds as numbers": (product("0 1 2 3 4", "pos neg", THREE), dict(images=30, classes=["neg", "pos"])),
    "stains outside": (product("HE Ki67 ER", "benign malignant", ["a.png"]), dict(images=6, classes=["benign", "malignant"])),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_public_layout_is_read_as_a_person_expects(tmp_path, name):
    images, expect = LAYOUTS[name]
    assert differences(layout(tmp_path / "set", images), expect) == []


def test_the_set_divided_twice_is_said(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(12):
        pixels = rng.integers(0, 255, (20 + k, 30))
        for way, part in (("by_hospital", "training_set" if k < 8 else "test_set"),
                          ("randomly", "training_set" if k % 3 else "test_set")):
            put(tmp_path / f"partitioned_{way}/{part}/{'glaucoma' if k % 2 else 'normal'}/r1_Im{k:03d}.png", pixels)
    found, error = read_json(tmp_path)
    said = {one["code"]: one for one in found["understood"]}
    assert error is None and "copies.possible" in said and said["copies.possible"]["option"] == "leave_out"
    one_of_two = Folder(tmp_path, FolderOptions(leave_out=said["copies.possible"]["value"]))
    assert len(one_of_two.scan().table) == 12
    put(tmp_path / "partitioned_by_hospital/test_set/normal/r2_Im001.png", rng.integers(0, 255, (9, 9)))
    put(tmp_path / "partitioned_by_hospital/test_set/normal/r2_Im002.png", rng.integers(0, 255, (9, 9)))
    put(tmp_path / "partitioned_randomly/test_set/normal/r2_Im003.png", rng.integers(0, 255, (8, 9)))
    put(tmp_path / "partitioned_randomly/test_set/normal/r2_Im004.png", rng.integers(0, 255, (8, 9)))
    assert "copies.possible" not in {one["code"] for one in read_json(tmp_path)[0]["understood"]}


def test_what_has_no_class_and_what_is_denied():
    folders = Counter({("yes",): 3, ("no",): 3, ("pred",): 2})
    assert without_class(folders) == {("pred",)}
    assert not without_class(Counter({("train", "a"): 1, ("train", "b"): 1, ("test",): 1}))
    assert not without_class(Counter({("images",): 1, ("test",): 1}))
    assert without_class(Counter({("originals",): 1, ("P", "a"): 1, ("P", "b"): 1})) == {("originals",)}
    assert "anemic" in denied("Non-anemic") and "tumor" in denied("no_tumor") and not denied("anemic")
    assert splits_of(["train", "test", "test_simple"])["test_simple"] == "test" and not splits_of(["train_mass", "test_clear"])
    assert label_prefixes(["1_A.png", "2_A.png", "3_N.png", "4_N.png"]) == ["A", "A", "N", "N"]
    assert label_prefixes(["1_a.png", "1_b.png", "2_a.png", "2_b.png"]) == []
    assert label_prefixes(["1_left.png", "2_left.png", "3_right.png", "4_right.png"]) == []


def test_the_masks_of_one_image_in_a_folder_are_its_truth():
    helpers = find_masks(["h1/images/h1.png", "h1/masks/a.png", "h1/masks/b.png", "h2/images/h2.png", "h2/masks/c.png"])
    assert helpers.masks == {"h1/images/h1.png": ["h1/masks/a.png", "h1/masks/b.png"], "h2/images/h2.png": ["h2/masks/c.png"]}


def test_overlays_and_heat_maps_are_no_truth():
    helpers = find_masks(["a/images/1.png", "a/overlay/1.png", "a/heatmaps/1.png", "a/masks/1.png"])
    assert helpers.masks == {"a/images/1.png": ["a/masks/1.png"]}
    assert {p: helpers.kind[p] for p in helpers.kind} == {
        "a/overlay/1.png": "derived", "a/heatmaps/1.png": "derived", "a/masks/1.png": "mask"}


@pytest.mark.parametrize("name, more", [      # CHASE_DB1, the smears of Herlev, BrEaST, and masks in another format
    ("Image_0{}L.jpg", ["Image_0{}L_1stHO.png", "Image_0{}L_2ndHO.png"]), ("149143370-00{}.bmp", ["149143370-00{}-d.bmp"]),
    ("case00{}.png", ["case00{}_tumor.png", "case00{}_other1.png"]), ("ISIC_00{}.jpg", ["ISIC_00{}.png"])])
def test_longer_names_are_masks_where_their_content_says_so(tmp_path, name, more):
    rng = np.random.default_rng(0)
    for c, first in (("benign", 0), ("malignant", 3)):
        for k in range(first, first + 3):
            put(tmp_path / c / name.format(k), rng.integers(0, 255, (30, 40)))
            for other in more:
                put(tmp_path / c / other.format(k), 255 * (rng.random((30, 40)) > 0.5))
    found, error = read_json(tmp_path)
    assert error is None and found["images"] == 6 and found["left_out"]["mask"] == 6 * len(more)
    for k in range(3):
        put(tmp_path / "benign" / more[0].format(k), rng.integers(0, 255, (30, 40)))      # images of their own
    assert read_json(tmp_path)[0]["images"] == 12
