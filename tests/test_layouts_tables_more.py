"""Tables of further public sets as they are downloaded: what was once read wrongly."""

import io

import openpyxl
import pytest

from core.datasets.table import Table, TableOptions
from core.datasets.table_guess import split_codes
from core.datasets.table_values import Values
from core.errors import LightboxError
from tests.layout_support import differences, layout, rows, texts
from tests.table_layouts import MULTI, ONE, TWO, names, table_of, workbook


def rsna_breast(root):
    """RSNA Screening Mammography: BIRADS is half empty, cancer is meant."""
    layout(root, [f"train_images/{10000 + i // 4}/{i + 400000}.dcm" for i in range(24)], train__csv=table_of(
        "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density,"
        "machine_id,difficult_negative_case",
        24, lambda i: f"2,{10000 + i // 4},{400000 + i},{'LR'[i // 2 % 2]},{['CC', 'MLO'][i % 2]},61.0,"
                      f"{int(i // 4 == 1)},{int(i // 4 in (1, 2))},"
        f"{int(i // 4 == 1)},{['', '0.0', '1.0'][i // 4 % 3]},0,{['B', 'C', ''][i % 3]},29,{i // 4 == 3}"))
    return {"images": 24, "patients": 6, "classes": ["0", "1"], "task": TWO}


def rsna_cspine(root):
    """RSNA cervical spine: a row a study, the folder holds its slices; patient_overall and C1 to C7."""
    layout(root, [f"train_images/1.2.826.0.1.{i // 4}/{i % 4 + 1}.dcm" for i in range(32)],
           train__csv=table_of(
        "StudyInstanceUID,patient_overall,C1,C2,C3,C4", 8,
        lambda i: f"1.2.826.0.1.{i},{int(i % 2)},{int(i == 1)},{int(i == 3)},{int(i in (1, 5))},{int(i == 7)}"))
    return {"images": 32, "patients": 8, "task": MULTI, "findings": ["patient_overall", "C1", "C2", "C3",
        "C4"]}


def ddr_txt(root):
    """DDR grading: train.txt, valid.txt and test.txt with a name and a grade between blanks, no header."""
    k = 0
    for part, n in (("train", 12), ("valid", 6), ("test", 6)):
        layout(root / "DR_grading", [f"{part}/007-{k + i:04}-100.jpg" for i in range(n)])
        texts(root / "DR_grading", {f"{part}.txt": "".join(f"007-{k + i:04}-100.jpg {i % 6}\n"
        for i in range(n))})
        k += n
    return {"images": 24, "classes": list("012345"), "splits": ["train", "val", "test"],
            "task_hint": "ordinal-regression"}


def covidx_cxr3(root):
    """COVIDx CXR-3: train.txt, val.txt, test.txt: patient, file, class, source."""
    for part, n in (("train", 12), ("val", 4), ("test", 4)):
        layout(root, [f"{part}/{part}{i}.png" for i in range(n)])
        texts(root, {f"{part}.txt": "".join(
        f"p{part}{i // 2} {part}{i}.png {['positive', 'negative'][i % 2]} {['cohen', 'sirm'][i // 2 % 2]}\n" for i in range(n))})
    return {"images": 20, "classes": ["positive", "negative"], "patients": 10,
            "splits": ["train", "val", "test"]}


def isic_2016(root):
    """ISIC 2016: no header, benign and malignant."""
    layout(root, names("ISBI2016_ISIC_Part3_Training_Data/ISIC_{:07}.jpg", 12),
           ISBI2016_ISIC_Part3_Training_GroundTruth__csv="".join(
           f"ISIC_{i:07},{['benign', 'malignant'][i % 3 == 0]}\n" for i in range(12)))
    return {"images": 12, "task": TWO, "classes": ["benign", "malignant"]}


def ph2(root):
    """PH2: a workbook with title rows above the header, columns marked X."""
    lines = [["", "", "Clinical Diagnosis", "", ""], ["Image Name", "Asymmetry", "Common Nevus",
        "Atypical Nevus", "Melanoma"]]
    lines += [[f"IMD{i:03}", i % 3, *("X" if i % 3 == k else None for k in range(3))] for i in range(12)]
    layout(root, names("PH2 Dataset images/IMD{0:03}/IMD{0:03}_Dermoscopic_Image/IMD{0:03}.bmp",
                       12) + names("PH2 Dataset images/IMD{0:03}/IMD{0:03}_lesion/IMD{0:03}_lesion.bmp", 12),
           PH2_dataset__xlsx=workbook(["PH2 data set legend", None, None, None, None], [[None] * 5, *lines]))
    return {"images": 12, "task": ONE, "classes": ["Common Nevus", "Atypical Nevus", "Melanoma"]}


def derm7pt(root):
    """Derm7pt: two image columns, case_num, diagnosis, seven scores."""
    diags = ["clark nevus", "melanoma (in situ)", "basal cell carcinoma"]
    layout(root, [f"images/N/N{i}_{k}.jpg" for i in range(10) for k in "cd"])
    texts(root, {"meta/meta.csv": table_of(
        "case_num,diagnosis,seven_point_score,pigment_network,elevation,sex,clinic,derm,case_id,notes", 10,
        lambda i:
          f"{i + 1},{diags[i % 3]},{i % 7},{['absent', 'typical', 'atypical'][i % 3]},flat,male,N/N{i}"
          f"_c.jpg,N/N{i}_d.jpg,,"),
          "meta/train_indexes.csv": rows("indexes", [str(i) for i in range(6)]),
          "meta/test_indexes.csv": rows("indexes", [str(i) for i in range(6, 10)]),
          "meta/valid_indexes.csv": rows("indexes", ["6"])})
    return {"images": 20, "patients": 10, "classes": diags}


def idrid_both(root):
    """IDRiD grading: blanks after names, two gradings and empty columns at the end."""
    for part, n, word in (("a. Training Set", 15, "a. IDRiD_Disease Grading_Training Labels"),
                          ("b. Testing Set", 5, "b. IDRiD_Disease Grading_Testing Labels")):
        layout(root, [f"1. Original Images/{part}/IDRiD_{i + 1:03}.jpg" for i in range(n)])
        texts(root, {f"2. Groundtruths/{word}.csv": rows(
        "Image name,Retinopathy grade,Risk of macular edema ,,,,",
        [f"IDRiD_{i + 1:03},{i % 5},{i % 3},,,," for i in range(n)])})
    return {"images": 20, "classes": list("01234"), "splits": ["train", "test"]}


def lidc_ratings(root):
    """LIDC nodules: four readers as columns reader1 ... and a consensus."""
    layout(root, names("nodules/nodule_{:04}.png", 20),
           labels__csv=table_of("nodule,patient,reader1,reader2,reader3,consensus", 20, lambda i:
           f"nodule_{i:04},LIDC-IDRI-{i // 2:04},{i % 5 + 1},{(i + 1) % 5 + 1},{i % 5 + 1},{i % 5 + 1}"))
    return {"images": 20, "patients": 10, "classes": list("12345"), "task_hint": "ordinal-regression",
            "codes": ["column.readers"]}


def galaxy_probabilities(root):
    """CheXpert labeler and crowd votes: probabilities as labels; they are no classes of 0 and 1."""
    layout(root, names("images_train/{:06}.jpg", 20),
           training_solutions__csv=table_of("GalaxyID,Class1_1,Class1_2,Class1_3", 20, lambda i:
           f"{i:06},{0.1 + 0.02 * i:.4f},{0.5 - 0.02 * i:.4f},0.4000"))
    return {"images": 20, "codes": ["tables.no_label"]}


def lera(root):
    """LERA: labels.csv without header: patient folder, body part, abnormality."""
    layout(root, [f"LERA Dataset/{1000 + i // 2}/ST-1/image{i % 2}.png" for i in range(24)])
    texts(root, {"LERA Dataset/labels.csv": "".join(
        f"{1000 + i},{['Foot', 'Knee', 'Hip'][i % 3]},{int(i % 4 == 0)}\n" for i in range(12))})
    return {"images": 24, "patients": 12, "classes": ["0", "1"]}


def oasis(root):
    """OASIS: CDR with decimal commas, ids as part of names."""
    layout(root, [f"slices/OAS1_{i + 1:04}_MR1_mpr_n4_anon_111_t88_{90 + k}.png" for i in range(12)
                  for k in range(2)],
           oasis_cross_sectional__csv=rows("ID;M/F;Hand;Age;Educ;SES;MMSE;CDR;eTIV;nWBV", [
               f"OAS1_{i + 1:04}_MR1;{'MF'[i % 2]};R;{40 + 2 * i};2;3;{20 + i % 10};"
               f"{['0', '0,5', '1', ''][i % 4]};{1300 + i};0,7{i:02}" for i in range(12)]))
    return {"images": 18, "classes_any": [["0", "0,5", "1"], ["0", "0.5", "1"]], "patients": 9, "task": ONE}


def acne04(root):
    """ACNE04: lists trainval and test with file, level and number of lesions between two blanks."""
    layout(root, [f"Classification/JPEGImages/levle{i % 4}_{i}.jpg" for i in range(16)])
    for part, span in (("trainval", range(12)), ("test", range(12, 16))):
        texts(root, {f"Classification/NNEW_{part}_0.txt": "".join(f"levle{i % 4}_{i}.jpg  {i % 4}  {i + 3}\n"
        for i in span)})
    return {"images": 16, "classes": list("0123"), "splits": ["train", "test"],
            "task_hint": "ordinal-regression"}


def utf16_tsv(root):
    """A clinic's export of SPSS: UTF-16, tabs, German words with umlauts, a date."""
    text = rows("Bilddatei\tPat.-Nr.\tAufnahmedatum\tGeschlecht\tBefund",
                [f"b{i}.dcm\t{i // 2 + 100}\t0{i % 9 + 1}.03.2020\tw\t{['gutartig', 'bösartig'][i % 2]}"
                 for i in range(12)])
    layout(root, names("Bilder/b{}.png", 12), Export__tsv=text.encode("utf-16"))
    return {"images": 12, "patients": 6, "classes": ["gutartig", "bösartig"]}


def sheets(root):
    """A workbook of which the first sheet is a legend and the second has the rows (BUS-BRA and others)."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.active.title = "Legend"
    for line in [["Column", "Meaning"], ["image", "name of the file"], ["pathology", "by biopsy"]]:
        book.active.append(line)
    sheet = book.create_sheet("Data")
    for line in [["image", "case", "pathology"], *[[f"bus_{i:04}-l", i // 2,
        ["benign", "malignant"][i // 2 % 2]] for i in range(12)]]:
        sheet.append(line)
    book.save(file)
    layout(root, names("Images/bus_{:04}-l.png", 12), data__xlsx=file.getvalue())
    return {"images": 12, "classes": ["benign", "malignant"], "patients": 6}


def path_mnist_regression(root):
    """BreastPathQ: y as cellularity between 0 and 1 with slide and rid."""
    layout(root, [f"datasets/train/{i // 4}_{i % 4}.tif" for i in range(24)])
    texts(root, {"datasets/train_labels.csv": table_of("slide,rid,y", 24,
        lambda i: f"{i // 4},{i % 4},{i / 24:.3f}")})
    return {"images": 24, "codes": ["tables.aside"]}


def hpa(root):
    """Human Protein Atlas: Id is a part of four files (green, red), Target numbers between blanks."""
    layout(root, [f"train/{i:08x}-bbba_{c}.png" for i in range(12) for c in ("green", "red")],
           train__csv=table_of("Id,Target", 12,
                               lambda i: f"{i:08x}-bbba,{['16 0', '7', '0 1', '5 7'][i % 4]}"))
    return {"images": 24, "task": MULTI, "findings": ["0", "1", "5", "7", "16"], "patients": 12}


def chestxdet(root):
    """Object-CXR: image_name and annotation, empty or boxes."""
    layout(root, names("train/{:05}.jpg", 16), train__csv=table_of("image_name,annotation", 16,
        lambda i: f"{i:05}.jpg,{f'0 {i} 5 90 8;1 3 4 {i} 6' if i % 2 else ''}"))
    return {"images": 16, "task": TWO, "codes": ["labels.measure"]}


def deeplesion(root):
    """DeepLesion: File_name, coarse types, Train_Val_Test as 1, 2, 3."""
    layout(root, [f"Images_png/{i // 3:06}_01_{i % 3 + 1:02}/{100 + i}.png" for i in range(18)],
           DL_info__csv=table_of(
        "File_name,Patient_index,Study_index,Series_ID,Key_slice_index,Coarse_lesion_type,Possibly_noisy,"
        "Patient_gender,Patient_age,Train_Val_Test", 18, lambda i:
        f"{i // 3:06}_01_{i % 3 + 1:02}_{100 + i}.png,{i // 3},1,{i % 3},{100 + i},{[3, 5, -1, 1, 2][i % 5]}"
        f",0,F,{60 + i},{[1, 1, 2, 3][i // 3 % 4]}"))
    return {"images": 18, "patients": 6, "classes_any": [["-1", "1", "2", "3", "5"], ["1", "2", "3", "5"]]}


def lumbar_long(root):
    """RSNA 2024 lumbar spine: a row a study, conditions as columns in words."""
    words = ["Normal/Mild", "Moderate", "Severe"]
    layout(root, [f"train_images/{4003253 + i // 2}/{702807833 + i}/1.dcm" for i in range(20)],
           train__csv=table_of(
        "study_id,spinal_canal_stenosis_l1_l2,left_neural_foraminal_narrowing_l1_l2,"
        "right_subarticular_stenosis_l1_l2", 10,
        lambda i: f"{4003253 + i},{words[i % 3]},{words[(i + 1) % 3]},{words[i % 2]}"),
        train_series_descriptions__csv=table_of("study_id,series_id,series_description", 20,
        lambda i: f"{4003253 + i // 2},{702807833 + i},Axial T2"))
    return {"images": 20, "classes": words, "patients": 10, "task_hint": "ordinal-regression"}


def mammo_cmmd(root):
    """CMMD: a workbook by patient and side, images in folders of the patient."""
    layout(root, [f"CMMD/D1-{i // 2 + 1:04}/07-18-2010/1-{i % 2 + 1}.dcm" for i in range(24)],
           CMMD_clinicaldata_revision__xlsx=workbook(
        ["ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype"],
        [[f"D1-{i + 1:04}", "R", 44 + i, 2, "mass", ["Benign", "Malignant"][i % 2], None]
         for i in range(12)]))
    return {"images": 24, "patients": 12, "classes": ["Benign", "Malignant"]}


def ultrasound_pocus(root):
    """FETAL_PLANES_DB: semicolons, the split as 0 and 1 in a column Train, two columns of planes."""
    layout(root, [f"Images/Patient{i // 2:05}_Plane{i % 2 + 1}_{i + 1}_of_9.png" for i in range(20)],
           FETAL_PLANES_DB_data__csv=table_of(
        "Image_name;Patient_num;Plane;Brain_plane;Operator;US_Machine;Train ", 20, lambda i:
        f"Patient{i // 2:05}_Plane{i % 2 + 1}_{i + 1}_of_9;{i // 2};"
        f"{['Fetal brain', 'Fetal femur', 'Other'][i % 3]};"
        f"{['Trans-thalamic', 'Not A Brain', 'Not A Brain'][i % 3]};Op. {i % 2 + 1};Aloka;{int(i < 14)}"))
    return {"images": 20, "patients": 10, "classes": ["Fetal brain", "Fetal femur", "Other"],
            "splits": ["train", "test"]}


def label_in_names(root):
    """AFHQ of cells: a table with patients only; the label is a word in the name."""
    layout(root, [f"img/{['benign', 'malignant'][i % 2]}_{i:03}.png" for i in range(16)],
           info__csv=table_of("file,patient,age", 16,
                              lambda i: f"{['benign', 'malignant'][i % 2]}_{i:03}.png,{i // 2},{30 + 3 * i}"))
    return {"images": 16, "patients": 8, "classes": ["benign", "malignant"]}


def rsna_hemorrhage(root):
    """RSNA intracranial haemorrhage: ID_x_subtype and Label in long form, six rows an image."""
    kinds = ["epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any"]
    layout(root, names("stage_2_train/ID_{:09x}.dcm", 12), stage_2_train__csv=rows("ID,Label", [
        f"ID_{i:09x}_{kind},{int(i % 6 == k or kind == 'any' and i % 6 < 5)}" for i in range(12) for k,
        kind in enumerate(kinds)]))
    return {"images": 12, "task": MULTI, "findings": kinds}


def siim_covid(root):
    """SIIM-FISABIO COVID-19: image ids with _image, study table with _study and four columns."""
    kinds = ["Negative for Pneumonia", "Typical Appearance", "Indeterminate Appearance",
             "Atypical Appearance"]
    layout(root, [f"train/st{i:05x}/se{i:05x}/im{i:05x}.dcm" for i in range(12)],
           train_image_level__csv=table_of("id,boxes,label,StudyInstanceUID", 12,
                                           lambda i: f"im{i:05x}_image,,none 1 0 0 1 1,st{i:05x}"),
           train_study_level__csv=table_of("id," + ",".join(kinds), 12,
                                           lambda i: f"st{i:05x}_study," + ",".join(str(int(i % 4 == k))
                                           for k in range(4))))
    return {"images": 12, "task": ONE, "classes": kinds}


def long_findings(root):
    """Long form with three columns: image, finding, present (radiology exports)."""
    kinds = ["Edema", "Mass", "Nodule"]
    layout(root, names("img/{}.png", 12), long__csv=rows("image,finding,value",
        [f"{i}.png,{k},{int((i + n) % 3 == 0 or i % 5 == n)}" for i in range(12) for n,
         k in enumerate(kinds)]))
    return {"images": 12, "task": MULTI, "findings": kinds,
            "counts": {k: sum((i + n) % 3 == 0 or i % 5 == n for i in range(12)) for n,
                       k in enumerate(kinds)}}


def two_row_header(root):
    """A header of two rows in Excel: group names above."""
    layout(root, names("img/{}.png", 12), l__xlsx=workbook(["Image", "Patient", "Findings", None, None],
        [[None, None, "Edema", "Mass", "Nodule"], *[[f"{i}.png", i // 2, int(i % 2), int(i % 3 == 0),
        int(i % 4 == 0)] for i in range(12)]]))
    return {"images": 12, "task": MULTI, "findings": ["Edema", "Mass", "Nodule"], "patients": 6}


def tnm(root):
    """TNM stages T1, T2, T3, T4."""
    layout(root, names("img/{}.png", 24), l__csv=table_of("image,pT", 24, lambda i: f"{i}.png,T{i % 4 + 1}"))
    return {"images": 24, "classes": ["T1", "T2", "T3", "T4"], "task_hint": "ordinal-regression"}


LAYOUTS = [rsna_breast, rsna_cspine, ddr_txt, covidx_cxr3, isic_2016, ph2, derm7pt, idrid_both,
           lidc_ratings, galaxy_probabilities, lera, oasis, acne04, utf16_tsv, sheets,
           path_mnist_regression, hpa, chestxdet, deeplesion, lumbar_long, mammo_cmmd, ultrasound_pocus,
           label_in_names, rsna_hemorrhage, siim_covid, long_findings, two_row_header, tnm]


@pytest.mark.parametrize("build", LAYOUTS, ids=lambda build: build.__name__)
def test_a_table_of_a_further_set_is_read_as_a_person_expects(build, tmp_path):
    expect = build(tmp_path / "set")
    assert differences(tmp_path / "set", expect) == []


def test_words_for_grades_are_a_scale_in_their_own_order(tmp_path):
    words = ["No_DR", "Mild", "Moderate", "Severe", "Proliferate_DR"]
    text = table_of("image,diagnosis", 10, lambda i: f"x{i}.png,{words[i % 5]}")
    path = layout(tmp_path, names("x{}.png", 10), labels__csv=text) / "labels.csv"
    target = Table(path, TableOptions(ordinal=True)).scan().targets["diagnosis"]
    assert target.task == "ordinal-regression" and list(target.class_names) == words
    assert target.labels.tolist() == [0, 1, 2, 3, 4] * 2
    assert sorted(words) == sorted(Table(path).scan().targets["diagnosis"].class_names)


def test_a_pattern_of_ones_own_takes_label_and_patient_from_names(tmp_path):
    files = [f"s{i // 2}_{'ab'[i // 2 % 2]}{i}.png" for i in range(8)]
    text = rows("file,age", [f"{name},{30 + i}" for i, name in enumerate(files)])
    path = layout(tmp_path, files, info__csv=text) / "info.csv"
    with pytest.raises(LightboxError):
        Table(path).scan()
    index = Table(path, TableOptions(pattern=r"(?P<patient>s\d+)_(?P<label>[ab])")).scan()
    target = next(iter(index.targets.values()))
    assert target.class_names == ("a", "b") and target.labels.tolist() == [0, 0, 1, 1] * 2
    assert index.table["patient"].tolist() == [f"s{i // 2}" for i in range(8)]
    with pytest.raises(LightboxError) as caught:
        TableOptions(pattern="(")
    assert caught.value.code == "folder.pattern"


@pytest.mark.parametrize("name, cells, expected", [
    ("Train ", "1 0", {"1": "train", "0": "test"}), ("is_test", "0 1", {"0": "train", "1": "test"}),
    ("Train_Val_Test", "1 2 3", {"1": "train", "2": "val", "3": "test"}), ("center", "0 1", {}), ("fold", "0 1 2", {}),
    ("Dataset_type", "TRAIN TEST", {"TRAIN": "train", "TEST": "test"})])
def test_numbers_are_a_split_where_the_column_says_so(name, cells, expected):
    assert split_codes(name, Values.of(cells.split())) == expected


def test_a_workbook_of_many_columns_and_rows_is_not_too_large(tmp_path):
    lines = [[f"x{i}.png", "ab"[i % 2], *range(20)] for i in range(8)]
    layout(tmp_path, names("x{}.png", 8), labels__xlsx=workbook(["file", "label", *map(str, range(20))], lines))
    assert len(Table(tmp_path / "labels.xlsx").scan().table) == 8
