"""Tables of public sets as they are downloaded, a few rows of each: what a person expects of them is what is read."""

import csv

import pytest

from core.datasets.table import Table, TableOptions
from core.errors import LightboxError
from tests.layout_support import differences, layout, rows, run_alone, texts
from tests.table_layouts import FIRST, MULTI, TWO, bone_age, names, table_of


def fitzpatrick(root):
    """Fitzpatrick17k: hashes as names, the label among coarser ones."""
    text = table_of("md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,"
                    "three_partition_label,qc,url", 12,
                    lambda i: f"{i:032x},{i % 6 + 1},{i % 6 + 1},{['acne', 'psoriasis', 'lupus'][i % 3]},"
                              f"inflammatory,non-neoplastic,,h")
    layout(root, names("data/finalfitz17k/{:032x}.jpg", 12), fitzpatrick17k__csv=text)
    return {"images": 12, "classes": ["acne", "psoriasis", "lupus"]}


def grazpedwri(root):
    """GRAZPEDWRI-DX: columns of 1 and blank, the patient in a column."""
    text = table_of("filestem,patient_id,study_number,age,gender,laterality,projection,cast,"
                    "fracture_visible,metal,osteopenia", 12,
                    lambda i: f"{i // 2:04}_0{i},{i // 2},1,9.5,F,L,{i % 2 + 1},{'1' if i % 4 == 0 else ''},"
                              f"{'1' if i % 3 else ''},,{'1' if i % 5 == 0 else ''}")
    layout(root, [f"images_part1/{i // 2:04}_0{i}.png" for i in range(12)], dataset__csv=text)
    return {"images": 12, "task": MULTI, "patients": 6}


def tbx11k(root):
    """TBX11K: a leading folder, target in words, boxes for some."""
    text = table_of("fname,image_height,image_width,source,bbox,target,tb_type,image_type", 12,
                    lambda i: f"{['h', 'tb'][i % 2]}{i:04}.png,512,512,train,none,"
                              f"{['no_tb', 'tb'][i % 2]},none,{['healthy', 'tb'][i % 2]}")
    layout(root, [f"images/{['h', 'tb'][i % 2]}{i:04}.png" for i in range(12)], data__csv=text)
    return {"images": 12, "classes": ["no_tb", "tb"], "task": TWO}


def brset(root):
    """BRSET: 0/1 columns among others, patients with two eyes."""
    text = table_of("image_id,patient_id,camera,patient_age,patient_sex,exam_eye,diabetic_retinopathy,"
                    "macular_edema,amd", 16,
                    lambda i: f"img{i:05},{i // 2},Canon,{60 + i % 5},1,{i % 2 + 1},{int(i % 3 == 0)},"
                              f"{int(i % 6 == 0)},{int(i % 5 == 0)}")
    layout(root, names("fundus_photos/img{:05}.jpg", 16), labels_brset__csv=text)
    return {"images": 16, "task": MULTI, "patients": 8}


def mbrset(root):
    """mBRSET: the ICDR grade among clinical columns, patients of four images."""
    text = table_of("patient,age,sex,file,laterality,final_icdr,final_quality", 20,
                    lambda i: f"{i // 4 + 1},{60 + i // 4},0,{i // 4 + 1}.{i % 4 + 1}.jpg,left,{i % 5},yes")
    layout(root, [f"images/{i // 4 + 1}.{i % 4 + 1}.jpg" for i in range(20)], labels_mbrset__csv=text)
    return {"images": 20, "classes": list("01234"), "patients": 5, "task_hint": "ordinal-regression"}


def deepdrid(root):
    """DeepDRiD: backslashes and a folder that is not there; the eyes' levels half empty,"
      " the patient's full."""
    text = table_of("patient_id,image_id,image_path,left_eye_DR_Level,right_eye_DR_Level,"
                    "patient_DR_Level", 16,
                    lambda i: f"{i // 4},{i // 4}_{'lr'[i // 2 % 2]}{i % 2 + 1},"
                              f"\\{i // 4}\\{i // 4}_{'lr'[i // 2 % 2]}{i % 2 + 1}.jpg,"
                              + (f"{i // 4},," if i // 2 % 2 == 0 else f",{i // 4},") + f"{i // 4}")
    layout(root, [f"Images/{i // 4}/{i // 4}_{'lr'[i // 2 % 2]}{i % 2 + 1}.jpg" for i in range(16)],
           **{"regular-fundus-training__csv": text})
    return {"images": 16, "classes": list("0123"), "patients": 4}


def vindr_mammo(root):
    """VinDr-Mammo: folders of studies, the split in a column, breast-level BI-RADS in words."""
    text = table_of("study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,"
                    "breast_density,split", 16,
                    lambda i: f"st{i // 4},se{i},im{i},L,CC,9,9,BI-RADS {i % 3 + 1},DENSITY C,"
                              f"{['training', 'test'][i // 12]}")
    layout(root, [f"images/st{i // 4}/im{i}.dicom" for i in range(16)], **{"breast-level_annotations__csv": text})
    return {"images": 16, "classes": ["BI-RADS 1", "BI-RADS 2", "BI-RADS 3"], "patients": 4, "splits": ["train", "test"]}


def chexpert_valid(root):
    """CheXpert with train.csv and valid.csv: one set with its split."""
    for part, start in (("train", 1), ("valid", 9)):
        layout(root, [f"CheXpert-v1.0-small/{part}/patient{start + i:05}/study1/view1_frontal.jpg" for i in range(8)])
        texts(root, {f"CheXpert-v1.0-small/{part}.csv": table_of("Path,Sex,Age,Frontal/Lateral,AP/PA,"
                    "No Finding,Edema,Fracture", 8, lambda i, part=part, start=start: (
            f"CheXpert-v1.0-small/{part}/patient{start + i:05}/study1/view1_frontal.jpg,Male,5,Frontal,AP,"
            f"{'1.0' if i % 2 else ''},{['', '1.0', '-1.0', '0.0'][i % 4]},{['', '', '1.0'][i % 3]}"))})
    return {"images": 16, "patients": 16, "task": MULTI, "splits": ["train", "val"]}


def hannover_bands(root):
    """Hannover's death_offset: died or not, never days."""
    text = table_of("patient_id,image_id,sex,admission_offset,death_offset,modality,projection", 24,
                    lambda i: f"{i // 3},{i:05},f,{i % 9},{f'{i}.0' if i // 3 % 4 == 0 else ''},CR,pa")
    layout(root, names("png/{:05}.png", 24), data__csv=text)
    return {"images": 24, "patients": 8, "task": TWO, "counts": {"death": 6, "no death": 18}, "label_not": True}


def knee_zeros(root):
    """Knees of the OAI: numbers lost their zeros and their side; KL grades; both knees share a row's patient."""
    text = table_of("ID;KLG", 10, lambda i: f"{i + 1};{i % 5}")
    layout(root, [f"kneeKL224/{i + 1:07}.png" for i in range(10)], kl__csv=text)
    return {"images": 10, "classes": list("01234"), "task_hint": "ordinal-regression"}


def comments_and_title(root):
    """REDCap and Fiji exports: a title, comments, a line that repeats the header, ragged ends."""
    lines = ["Export of 2021-03-04", "# second comment", "file;label;remark"]
    lines += [f"x{i}.png;{'ab'[i % 2]}" + (";fine" if i % 3 else "") for i in range(6)]
    lines += ["file;label;remark"] + [f"x{i}.png;{'ab'[i % 2]};ok;;" for i in range(6, 10)]
    layout(root, names("x{}.png", 10), export__csv="\n".join(lines))
    return {"images": 10, "classes": ["a", "b"]}


def readers(root):
    """Two readers who disagree on two of ten images: left out, and said; the option decides."""
    text = rows("image,diagnosis,reader", [f"x{i}.png,{'ab'[(i + (r and i < 2)) % 2]},"
                                           f"R{r}" for i in range(10) for r in range(2)])
    layout(root, names("x{}.png", 10), labels__csv=text)
    return {"images": 8, "classes": ["a", "b"], "codes": ["rows.disagree"], "left_out": {"contradictory": 4}}


def shenzhen_csv(root):
    """Shenzhen of Kaggle: the table has sex and age only; the label is the last digit of the file's name."""
    text = table_of("study_id,sex,age", 12, lambda i: f"CHNCXR_{i:04}_{i % 2}.png,Male,{20 + 3 * i}")
    layout(root, [f"images/images/CHNCXR_{i:04}_{i % 2}.png" for i in range(12)], shenzhen_metadata__csv=text)
    return {"images": 12, "patients": 12, "task": TWO, "path": "shenzhen_metadata.csv",
            "codes": ["column.label", "groups"]}


def ddsm_like(root):
    """Breast lesions of a hospital: is_malignant is a label though another column is yes or no too."""
    text = table_of("lesion,image_name,is_malignant,confirmed_by_biopsy,density,censorship", 12, lambda i:
                    f"L{i // 2},x{i}.png,{['yes', 'no'][i // 2 % 2]},{['yes', 'no'][i % 2]},{i % 4 + 1},{i % 2}")
    layout(root, names("images/x{}.png", 12), labels__csv=text)
    return {"images": 12, "patients": 6, "classes": ["no", "yes"], "task": TWO}


def tcga_slides(root):
    """Slides of TCGA with survival: what was found out comes before density and censorship."""
    text = table_of("Hospital No,image,survival_months,censorship,density,biopsy_result", 12, lambda i:
                    f"H{100 + i // 2},x{i}.png,{3.5 * i},{i % 2},{i % 4 + 1},{['IDC', 'ILC'][i // 2 % 2]}")
    layout(root, names("images/x{}.png", 12), labels__csv=text)
    return {"images": 12, "patients": 6, "classes": ["IDC", "ILC"]}


def ham_test(root):
    """HAM10000 of the Dataverse with the test set: a table without a suffix is training, the one of the test is not."""
    head, kinds = "lesion_id,image_id,dx,dx_type,age,sex", ["bkl", "nv", "mel"]
    layout(root, [f"HAM10000_images_part_{1 + i // 6}/ISIC_{i:07}.jpg" for i in range(12)]
           + [f"ISIC2018_Task3_Test_Images/ISIC_{i:07}.jpg" for i in range(34, 38)])
    texts(root, {"HAM10000_metadata": table_of(head, 12, lambda i: f"H_{i // 2},ISIC_{i:07},{kinds[i // 2 % 3]},histo,8,male"),
                 "ISIC2018_Task3_Test_GroundTruth.csv": table_of(
                     head, 4, lambda i: f"T_{i},ISIC_{i + 34:07},{kinds[i % 3]},histo,8,male")})
    return {"images": 16, "classes": kinds, "split_counts": {"train": 12, "test": 4}}


def duke_breast(root):
    """Duke breast MRI: small numbers of a column are no names of files where another one names the folders."""
    layout(root, [f"Breast_MRI_{p:03}/{k}.png" for p in range(1, 9) for k in (1, 2)])
    texts(root, {"Clinical.csv": table_of("Patient ID,Days to MRI,Manufacturer,ER,Mol Subtype", 8, lambda i:
                                          f"Breast_MRI_{i + 1:03},{i * 3},1,{i % 2},{i % 4}")})
    return {"images": 16, "patients": 8, "counts": {"0": 8, "1": 8}}


def covidx_ct(root):
    """COVIDx CT: the patient and the scan are in the names."""
    layout(root, [f"3A_images/NCP_{i // 4}_{13 + i // 4}_{i:04}.png" for i in range(16)])
    for part, span in (("train", range(8)), ("val", range(8, 12)), ("test", range(12, 16))):
        texts(root, {f"{part}_COVIDx_CT-3A.txt": "".join(f"NCP_{i // 4}_{13 + i // 4}_{i:04}.png {i % 3} 10 10 400 400\n"
                                                         for i in span)})
    return {"images": 16, "patients": 4, "classes": list("012"), "splits": ["train", "val", "test"]}


def mured(root):
    """MuReD: a disease is left in though the others are one of each row in a few rows."""
    layout(root, names("images/images/{}_x.png", 12))
    for part, span in (("train", range(8)), ("val", range(8, 12))):
        texts(root, {f"{part}_data.csv": rows("ID,DR,NORMAL,MH,ODC", [
            f"{i}_x,{int(i % 3 == 0)},{int(i % 3 == 1)},{int(i % 3 == 2)},{int(i % 4 == 0)}" for i in span])})
    return {"images": 12, "findings": ["DR", "NORMAL", "MH", "ODC"], "splits": ["train", "val"]}


def adni(root):
    """ADNI as slices: the subject stands in the middle of the names, the group is the label."""
    people = {"002_S_0295": "CN", "002_S_0413": "AD", "003_S_0907": "MCI", "005_S_0221": "AD"}
    layout(root, [f"png/ADNI_{s}_MR_{k}.png" for s in people for k in (1, 2)])
    texts(root, {"ADNI1.csv": rows("Image Data ID,Subject,Group,Sex,Age,Visit,Modality", [
        f"I{700 + k},{s},{group},M,70,1,MRI" for k, (s, group) in enumerate(people.items())])})
    return {"images": 8, "patients": 4, "classes": ["AD", "CN", "MCI"]}


def patient_in_french(root):
    """A hospital's table in French: numero_patient is the patient."""
    text = table_of("nom_image;numero_patient;diagnostic;sexe", 12, lambda i:
                    f"{i}.jpg;{i // 2};{['bénin', 'malin'][i // 2 % 2]};F")
    layout(root, names("b/{}.jpg", 12), liste__csv=text)
    return {"images": 12, "patients": 6, "classes": ["bénin", "malin"]}


def lfs_table(root):
    """A clone without LFS: the table itself is a pointer."""
    layout(root, names("images/x{}.png", 4), labels__csv="version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n")
    return {"error": "table.lfs"}


LAYOUTS = [*FIRST, fitzpatrick, grazpedwri, tbx11k, brset, mbrset, deepdrid, vindr_mammo, chexpert_valid,
           hannover_bands, knee_zeros, comments_and_title, readers, shenzhen_csv, ddsm_like, tcga_slides, ham_test, duke_breast,
           covidx_ct, mured, adni, patient_in_french, lfs_table]


@pytest.mark.parametrize("build", LAYOUTS, ids=lambda build: build.__name__)
def test_a_table_of_a_public_set_is_read_as_a_person_expects(build, tmp_path):
    expect = build(tmp_path / "set")
    assert differences(tmp_path / "set", expect) == []


def test_months_are_no_classes_and_a_threshold_or_bands_make_some(tmp_path):
    bone_age(tmp_path / "set")
    path = tmp_path / "set" / "labels.csv"
    with pytest.raises(LightboxError) as caught:
        Table(path).scan()
    assert caught.value.code == "table.label" and "boneage" in caught.value.hint and "threshold" in caught.value.hint
    months = [int(row["boneage"]) for row in csv.DictReader(path.open())]
    for options, edges in (({"threshold": "100"}, [100]), ({"bands": "0 60 120"}, [0, 60, 120])):
        target = Table(path, TableOptions(labels=("boneage",), **options)).scan().targets["boneage"]
        below = sum(min(months) >= edge for edge in edges)
        assert [sum(m >= edge for edge in edges) - below for m in months] == list(target.labels)
    four = Table(path, TableOptions(labels=("boneage",), bands="3")).scan().targets["boneage"]
    assert [list(four.labels).count(k) for k in range(3)] == [10, 10, 10]


def test_readers_who_disagree_are_left_out_or_outvoted_as_one_says(tmp_path):
    says = {0: "normal normal ill", 1: "ill ill normal", 2: "normal ill", 3: "ill", 4: "normal"}
    text = rows("image,diagnosis,reader", [f"x{i}.png,{word},"
                                           f"R{k}" for i, words in says.items() for k, word in enumerate(words.split())])
    path = layout(tmp_path, names("x{}.png", 5), labels__csv=text) / "labels.csv"

    def read(**options):
        index = Table(path, TableOptions(**options)).scan()
        target = index.targets["diagnosis"]
        return dict(zip(index.table["path"].str[1].astype(int), (target.class_names[k] for k in target.labels)))

    assert read() == read(repeats="leave out") == {3: "ill", 4: "normal"}
    assert read(repeats="majority") == {0: "normal", 1: "ill", 3: "ill", 4: "normal"}
    assert read(repeats="any") == {0: "ill", 1: "ill", 2: "ill", 3: "ill", 4: "normal"}
    both = Table(path, TableOptions(repeats="unite")).scan().targets["diagnosis"]
    assert both.class_names == ("ill",) or both.labels.shape[1] == 2


def test_uncertain_findings_follow_the_policy(tmp_path):
    text = rows("file,Edema,Mass", ["0.png,1.0,-1.0", "1.png,,1.0", "2.png,0.0,", "3.png,-1.0,0.0"])
    path = layout(tmp_path, names("{}.png", 4), labels__csv=text) / "labels.csv"
    for policy, one in (("ignore", -1), ("zeros", 0), ("ones", 1)):
        target = Table(path, TableOptions(uncertain=policy)).scan().targets["findings"]
        assert target.labels.tolist() == [[1, one], [0, 1], [0, 0], [one, 0]], policy
    unknown = Table(path, TableOptions(blanks="unknown")).scan().targets["findings"]
    assert unknown.labels.tolist() == [[1, -1], [-1, 1], [0, -1], [-1, 0]]
    apart = Table(path, TableOptions(uncertain="class")).scan().targets
    assert apart["mass"].class_names == ("no", "yes", "uncertain") and apart["mass"].labels.tolist() == [2, 1, 0, 0]


def test_a_set_that_was_saved_before_is_read_as_before(tmp_path):
    text = rows("file,label,split", [f"{i}.png,{label},"
                                     f"a" for i, label in enumerate(["1", "1.0", "nan", "1", "nan", "?"])])
    path = layout(tmp_path, names("{}.png", 6), labels__csv=text) / "labels.csv"
    old = TableOptions(delimiter=",", encoding="utf-8", folder=str(tmp_path), file="file", labels=("label",), separator="-",
                       nothing="-", patient="-", study="-", view="-", split="-")
    assert Table(path, old).scan().targets["label"].class_names == ("1", "1.0", "?", "nan")
    new = Table(path, Table(path).resolved)
    assert new.resolved == Table(path).resolved, "what was written out is read as it was guessed"


def test_a_table_without_header_has_columns_that_can_be_named(tmp_path):
    text = rows("0.png,a,7", [f"{i}.png,{'ab'[i % 2]},{i // 2}" for i in range(1, 8)])
    path = layout(tmp_path, names("{}.png", 8), list__csv=text) / "list.csv"
    assert Table(path).resolved.labels == ("column 2",) and len(Table(path).scan().table) == 8
    named = Table(path, TableOptions(names=("picture", "side", "who"), labels=("side",), patient="who"))
    assert list(named.scan().targets) == ["side"] and named.table["patient"].tolist()[:3] == ["7", "0", "1"]
    assert len(Table(path, TableOptions(header="yes", file="0.png", labels=("a",))).scan().table) == 7


@pytest.mark.slow
def test_a_million_rows_about_a_hundred_thousand_files_are_understood_in_seconds(tmp_path):
    """In a process of its own, within 700 MB and 15 s of its time: twice that beside another test."""
    (tmp_path / "images").mkdir()
    for i in range(100_000):
        (tmp_path / "images" / f"{i:08}_000.png").touch()
    with open(tmp_path / "set.csv", "w") as file:
        file.write("Image Index,Finding Labels,Patient ID,Age\n")
        for i in range(1_000_000):
            file.write(f"{i:08}_000.png,{('No Finding', 'Mass', 'Mass|Nodule')[i % 3]},{i // 5},{i % 90}\n")
    images, patients, seconds, megabytes = run_alone(
        "import sys; from tests.layout_support import read; from pathlib import Path\n"
        "found = read(Path(sys.argv[1])); print(len(found.index.table), found.patients)", tmp_path)
    print(seconds, megabytes)
    assert (images, patients) == (100_000, 20_000) and seconds < 30 and megabytes < 700, (seconds, megabytes)
