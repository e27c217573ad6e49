"""Folders and tables of still more public sets as they are downloaded. Each row names the set it stands for."""

import hashlib

import pytest

from core.datasets.table import Table
from tests.layout_support import differences, layout, rows, texts
from tests.table_layouts import MULTI, ONE, TWO, names, table_of, workbook
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
    "chest CT of Kaggle, longer names in training": (
        product(["Data"], "train valid", ["adenocarcinoma_left.lower.lobe_T2_N0_M0_Ib", "normal",
                                          "squamous.cell.carcinoma_left.hilum_T1_N2_M0_IIIa"], THREE)
        + product(["Data/test"], "adenocarcinoma normal squamous.cell.carcinoma", THREE),
        dict(images=27, classes=["adenocarcinoma", "normal", "squamous.cell.carcinoma"], splits=["train", "val", "test"])),
    "Dermofit, a folder for each lesion": (
        [f"{c}/{c[0]}{k}/{c[0]}{k}{m}.png" for c, ks in (("AK", (1, 2, 3)), ("BCC", (4, 5, 6))) for k in ks
         for m in ("", "mask")],
        dict(images=6, classes=["AK", "BCC"], patients=6, left_out={"mask": 6})),
    "BCI, stains above grades in names": (
        [f"BCI_dataset/{stain}/{part}/{k:05d}_{part}_{g}.png" for stain in ("HE", "IHC") for part in ("train", "test")
         for k, g in enumerate(("0", "1+", "2+", "3+"))],
        dict(images=16, classes=["0", "1+", "2+", "3+"], splits=["train", "test"])),
    "BUS-BRA without its table": (
        numbered("BUSBRA/Images/bus_000#-l.png", "BUSBRA/Masks/mask_000#-l.png"), dict(images=3, left_out={"mask": 3})),
    "RSNA-MICCAI, sequences below patients": (
        product(["train"], "00000 00002 00003", "FLAIR T1w T1wCE T2w", ["Image-1.png", "Image-2.png"]),
        dict(images=24, classes=["unlabelled"], patients=3)),
    "BraTS as slices, seg beside the sequences": (
        [f"BraTS2020/BraTS20_Training_{p:03d}/BraTS20_Training_{p:03d}_{m}_{k}.png" for p in (1, 2, 3)
         for m in ("flair", "t1", "t1ce", "t2", "seg") for k in (60, 70)],
        dict(images=24, classes=["unlabelled"], patients=3, left_out={"mask": 6})),
    "panoramic radiographs by age": (
        product("18-20 21-30 31-40", THREE), dict(images=9, classes=["18-20", "21-30", "31-40"])),
    "Treino and Teste": (product("Treino Teste", "cisto normal", THREE), dict(images=12, splits=["train", "test"])),
    "knees of the OAI with their visit": (
        [f"{g}/9{k}_{s}_v00.png" for g in "01" for k in (3 * 10 ** 5, 4 * 10 ** 5) for s in "LR"],
        dict(images=8, classes=["0", "1"], patients=2)),
    "tongues, the mask inside another folder": (
        product(["TongueImageDataset/groudtruth/mask", "TongueImageDataset/dataset"], numbered("#.bmp")),
        dict(images=3, classes=["unlabelled"], left_out={"mask": 3})),
    "BMAD, good and Ungood": (
        product(["Brain_AD"], ["train/good/img", "test/good/img", "test/Ungood/img", "test/Ungood/label"], numbered("0#.png")),
        dict(images=9, classes=["good", "Ungood"], left_out={"mask": 3})),
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


def frac_atlas(root):
    """FracAtlas: columns of yes and no for body parts and views; fractured is meant."""
    layout(root, [f"FracAtlas/images/{['Non_fractured', 'Fractured'][i % 3 == 0]}/IMG{i:07}.jpg" for i in range(15)])
    texts(root, {"FracAtlas/dataset.csv": table_of(
        "image_id,hand,leg,hip,shoulder,mixed,hardware,multiscan,fractured,fracture_count,frontal,lateral,oblique", 15,
        lambda i: f"IMG{i:07}.jpg,{i % 2},{1 - i % 2},0,0,0,{int(i == 4)},{int(i == 5)},{int(i % 3 == 0)},{int(i % 3 == 0)},"
                  f"{i % 2},{1 - i % 2},0")})
    return {"images": 15, "task": TWO, "counts": {"0": 10, "1": 5}}


def bus_bra(root):
    """BUS-BRA: tables of folds that repeat the labels."""
    ids, words = [f"bus_{i // 2:04}-{'lr'[i % 2]}" for i in range(12)], ["benign", "malignant"]
    layout(root, [f"BUSBRA/{d}_{x[4:]}.png" for x in ids for d in ("Images/bus", "Masks/mask")])
    texts(root, {"BUSBRA/bus_data.csv": rows("ID,Case,Histology,Pathology,BIRADS,Device,Side", [
        f"{x},{i // 2},{['Cyst', 'IDC', 'Fibroadenoma'][i % 3]},{words[i // 2 % 2]},{i % 4 + 2},GE,left"
        for i, x in enumerate(ids)])})
    texts(root, {f"BUSBRA/{n}-fold-cv.csv": rows("ID,Pathology,kFold", [
        f"{x},{words[i // 2 % 2]},{i % n + 1}" for i, x in enumerate(ids)]) for n in (5, 10)})
    return {"images": 12, "patients": 6, "classes": words, "codes": ["tables.aside"]}


def kidney_ct(root):
    """CT of the kidney (normal, cyst, tumor, stone) with kidneyData.csv: Class says in words what target says in numbers."""
    kinds = ["Cyst", "Normal", "Stone", "Tumor"]
    layout(root, [f"CT-KIDNEY/CT-KIDNEY/{c}/{c}- ({k}).jpg" for c in kinds for k in (1, 2, 3)])
    texts(root, {"kidneyData.csv": rows(",image_id,path,diag,target,Class", [
        f"{k},{c}- ({k}),/content/data/CT/{c}/{c}- ({k}).jpg,{c},{kinds.index(c)},{c}" for c in kinds for k in (1, 2, 3)])})
    return {"images": 12, "classes": kinds}


def sicap(root):
    """SICAPv2: train and test in one folder, and the same images divided anew in others."""
    files = [f"{16 + i // 4}B000{i // 4}_Block_Region_{i % 4}_0_0_xini_680{i}_yini_5978{i}.jpg" for i in range(16)]
    layout(root, [f"SICAPv2/{d}/{name}" for name in files for d in ("images", "masks")])
    for part, start, end in (("Test/Train", 0, 12), ("Test/Test", 12, 16), ("Validation/Val1/Train", 0, 8),
                             ("Validation/Val1/Test", 8, 12), ("Validation/Val2/Train", 4, 12), ("Validation/Val2/Test", 0, 4)):
        texts(root, {f"SICAPv2/partition/{part}.xlsx": workbook(["image_name", "NC", "G3", "G4", "G5", "G4C"], [
            [files[i], *(int(i % 4 == k) for k in range(4)), int(i % 8 == 2)] for i in range(start, end)])})
    return {"images": 16, "task": ONE, "classes": ["NC", "G3", "G4", "G5"], "split_counts": {"train": 12, "test": 4}}


def two_readers(root):
    """Raabin-WBC, labels of two readers and the final one."""
    layout(root, names("TestB/{:05}.jpg", 12), labels__csv=table_of(
        "name;label1;label2;final", 12, lambda i: f"{i:05}.jpg;{'ABA'[i % 3]}1;{'ABB'[i % 3]}1;{'AB'[i % 2]}1"))
    return {"images": 12, "counts": {"A1": 6, "B1": 6}, "codes": ["column.readers"]}


def cdd_cesm(root):
    """CDD-CESM: what was seen (BIRADS, Findings) beside what it was (Pathology Classification/ Follow up)."""
    layout(root, [f"{d} of CDD-CESM/P{p}_{s}_{t}_CC.jpg" for d, t in (("Low energy images", "DM"), ("Subtracted images", "CM"))
                  for p in range(1, 7) for s in "LR"])
    texts(root, {"Radiology-manual-annotations.xlsx": workbook(
        ["Patient_ID", "Side", "Type", "View", "Image_name ", "BIRADS", "Findings", "Pathology Classification/ Follow up"],
        [[p, s, t, "CC", f"P{p}_{s}_{t}_CC", p % 5 + 1, ["Mass", "Foci"][p % 2], ["Benign", "Malignant", "Normal"][p % 3]]
         for p in range(1, 7) for s in "LR" for t in ("DM", "CM")])})
    return {"images": 24, "patients": 6, "classes": ["Benign", "Malignant", "Normal"]}


def scin(root):
    """SCIN: up to three photos in a row, columns of YES, and the label as a list."""
    layout(root, names("dataset/images/{}.png", 12))
    texts(root, {"dataset/scin_cases.csv": table_of(
        "case_id,source,release,textures_raised_or_bumpy,body_parts_arm,image_1_path,image_2_path,image_3_path", 6,
        lambda i: f"{500 + i},SCIN,1.0,{['YES', ''][i % 2]},{['', 'YES'][i % 2]},dataset/images/{2 * i}.png,"
                  f"dataset/images/{2 * i + 1}.png,"),
        "dataset/scin_labels.csv": table_of("case_id,gradable,dermatologist_skin_condition_on_label_name", 6,
            lambda i: f"{500 + i},YES,\"['{['Eczema', 'Urticaria'][i % 2]}']\"")})
    return {"images": 12, "patients": 6, "classes": ["Eczema", "Urticaria"]}


def covid_ct_lists(root):
    """COVID-CT: class folders, and lists of train, val and test for each class."""
    files = {"COVID": [f"2020.01.24.919183-p27-13{k}.png" for k in range(8)], "NonCOVID": names("{}.png", 8)}
    layout(root, [f"Images-processed/CT_{c}/{name}" for c, some in files.items() for name in some])
    texts(root, {f"Data-split/{c}/{part}CT_{c}.txt": "".join(f"{name}\n" for name in some[start:end])
                 for c, some in files.items() for part, start, end in (("train", 0, 4), ("val", 4, 6), ("test", 6, 8))})
    return {"images": 16, "classes": ["CT_COVID", "CT_NonCOVID"], "split_counts": {"train": 8, "val": 4, "test": 4}}


def patients_beside_classes(root):
    """Large COVID-19 CT slices: class folders, and a table for each class with the patient."""
    for c, people in (("Normal", "12"), ("Covid", "34"), ("CAP", "56")):
        files = [f"{c}_{k}{p}0.png" for p in people for k in (1, 2)]
        layout(root, [f"curated_data/curated_data/{c}/{name}" for name in files])
        texts(root, {f"meta_data_{c.lower()}.csv": rows("File name,Patient ID,Diagnosis,Age", [
            f"{name},P{name[-6:-4]},{c},30" for name in files])})
    return {"images": 12, "patients": 6, "classes": ["CAP", "Covid", "Normal"]}


def both_knees(root):
    """Knees of the OAI, a row for each side: SIDE is 1 for right and 2 for left."""
    layout(root, [f"images/{9000099 + i}{s}.png" for i in range(6) for s in "LR"])
    texts(root, {"kl.csv": rows("ID,SIDE,KL", [f"{9000099 + i},{side},{(i + side) % 5}" for i in range(6) for side in (1, 2)])})
    return {"images": 12, "patients": 6, "classes": GRADES, "note": "right side"}


def osteosarcoma(root):
    """Osteosarcoma of UT Southwestern: blanks in the table, hyphens in the names."""
    layout(root, [f"Training-Set-{1 + i // 6}/set{i % 3 + 1}/Case-{3 + i // 2}-A{i}-{4000 + i}-{300 + i}.jpg" for i in range(12)])
    texts(root, {"ML_Features_1144.csv": table_of("image.name,area,classification", 12, lambda i:
        f"Case {3 + i // 2} A{i}-{4000 + i}-{300 + i}.jpg,{i * 3.5},{['Non-Tumor', 'Viable', 'Non-Viable-Tumor'][i % 3]}")})
    return {"images": 12, "classes": ["Non-Tumor", "Viable", "Non-Viable-Tumor"]}


def mgmt(root):
    """RSNA-MICCAI: MGMT_value is a label and no measure, the folders of a patient are sequences."""
    layout(root, product(["train"], "00000 00002 00003 00005", "FLAIR T1w", ["Image-1.png", "Image-2.png"]))
    texts(root, {"train_labels.csv": rows("BraTS21ID,MGMT_value", ["00000,1", "00002,1", "00003,0", "00005,0"])})
    return {"images": 16, "patients": 4, "task": TWO, "classes": ["0", "1"]}


def abdominal_trauma(root):
    """RSNA abdominal trauma: a row for each patient, whose folder holds one of series."""
    people = ("10004", "10005", "10007", "10009")
    layout(root, product(["train_images"], people, ["21057"], ["362.png", "363.png"]))
    texts(root, {"train.csv": rows("patient_id,bowel_healthy,bowel_injury,any_injury", [
        f"{p},{i % 2},{1 - i % 2},{int(i < 2)}" for i, p in enumerate(people)]),
        "train_series_meta.csv": rows("patient_id,series_id,aortic_hu", [f"{p},21057,{i}.5" for i, p in enumerate(people)])})
    return {"images": 8, "patients": 4, "task": MULTI}


def brset_settings(root):
    """BRSET with all its columns: what is yes or no of a person stands beside findings of 0 and 1."""
    layout(root, names("fundus_photos/img{:05}.jpg", 16), labels_brset__csv=table_of(
        "image_id,patient_id,insuline,exam_eye,diabetes,focus,diabetic_retinopathy,macular_edema,amd,drusens,quality", 16,
        lambda i: f"img{i:05},{i // 2},{['yes', 'no'][i % 3 == 0]},{i % 2 + 1},{['yes', 'no'][i % 2]},{1 + i % 2},"
                  f"{int(i % 3 == 0)},{int(i % 6 == 0)},{int(i % 5 == 0)},{int(i % 7 == 0)},Adequate"))
    return {"images": 16, "patients": 8, "findings": ["diabetic_retinopathy", "macular_edema", "amd", "drusens"]}


def ct_ich(root):
    """CT-ICH with its table: patient and slice together name an image, once for brain and once for bone."""
    people = (49, 50, 51)
    layout(root, [f"Patients_CT/{p:03}/{window}/{k}.jpg" for p in people for window in ("brain", "bone") for k in (1, 2, 3, 4)])
    layout(root, [f"Patients_CT/{p:03}/brain/2_HGE_Seg.jpg" for p in people])
    texts(root, {"hemorrhage_diagnosis.csv": rows(
        "PatientNumber,SliceNumber,Intraventricular,Epidural,No_Hemorrhage,Fracture_Yes_No", [
            f"{p},{k},{int(k < 2)},{int(k < 3)},{int(k > 2)},{int(p == 50)}" for p in people for k in (1, 2, 3, 4)]),
        "Patient_demographics.csv": rows("Patient Number,Age,Gender", [f"{p},30,Male" for p in people])})
    return {"images": 24, "patients": 3, "findings": ["Intraventricular", "Epidural", "No_Hemorrhage", "Fracture_Yes_No"]}


def camelyon17(root):
    """Camelyon17 of WILDS: patient, node and place together name a patch."""
    places = [((4, 9, 10)[i // 4], i % 2, 3328 + i) for i in range(12)]
    layout(root, [f"patches/patient_{p:03}_node_{n}/patch_patient_{p:03}_node_{n}_x_{x}_y_21792.png" for p, n, x in places])
    texts(root, {"metadata.csv": rows(",patient,node,x_coord,y_coord,tumor,slide,center,split", [
        f"{i},{p:03},{n},{x},21792,{int(i % 3 == 0)},{i // 4},{i // 4},{i % 2}" for i, (p, n, x) in enumerate(places)])})
    return {"images": 12, "patients": 3, "counts": {"0": 8, "1": 4}}


def nerves(root):
    """Ultrasound Nerve Segmentation: subject and img together name an image; whether it has a nerve is the label."""
    layout(root, [f"train/{p}_{k}{m}.tif" for p in (1, 2, 3) for k in (1, 2, 3, 4) for m in ("", "_mask")])
    texts(root, {"train_masks.csv": rows("subject,img,pixels", [
        f"{p},{k},{'168153 9 168570 8' * (k % 2)}" for p in (1, 2, 3) for k in (1, 2, 3, 4)])})
    return {"images": 12, "patients": 3, "task": TWO}


TABLES = [g1020, origa, resized_twice, cbis_of_kaggle, frac_atlas, bus_bra, kidney_ct, sicap, two_readers, cdd_cesm, scin,
          covid_ct_lists, patients_beside_classes, both_knees, osteosarcoma, mgmt, abdominal_trauma, brset_settings,
          ct_ich, camelyon17, nerves]


@pytest.mark.parametrize("build", [ct_ich, both_knees])
def test_what_was_guessed_is_read_the_same_once_it_is_written_out(build, tmp_path):
    build(tmp_path / "set")
    guessed = Table(next((tmp_path / "set").glob("*.csv")))
    again = Table(guessed.path, guessed.resolved)
    assert again.resolved == guessed.resolved and again.scan().table.equals(guessed.scan().table)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_a_public_set_is_read_as_a_person_expects(tmp_path, name):
    images, expect = FOLDERS[name]
    assert differences(layout(tmp_path / "set", images), expect) == []


@pytest.mark.parametrize("build", TABLES, ids=lambda build: build.__name__)
def test_a_table_of_a_public_set_is_read_as_a_person_expects(build, tmp_path):
    expect = build(tmp_path / "set")
    assert differences(tmp_path / "set", expect) == []
