"""Tables of public sets as they are downloaded, a few rows of each: how each is laid out, and what a person expects."""

import io

import pytest

from tests.layout_support import PIXELS, layout, rows, texts

MULTI, ONE, TWO = "multi-label, binary-class", "multi-class", "binary-class"


def names(pattern: str, count: int) -> list[str]:
    return [pattern.format(i) for i in range(count)]


def table_of(header: str, count: int, row) -> str:
    return rows(header, [row(i) for i in range(count)])


def workbook(header: list[str], lines: list[list]) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book, file = openpyxl.Workbook(), io.BytesIO()
    for line in [header, *lines]:
        book.active.append(line)
    book.save(file)
    return file.getvalue()

def rsna_pneumonia(root):
    """RSNA Pneumonia Detection: a row a box, the label again in each."""
    text = table_of("patientId,x,y,width,height,Target", 18,
                    lambda i: f"id{i // 3 * 2 + (i % 3 == 2):04}x,{i if i % 3 < 2 else ''},1,2,3,"
                              f"{int(i % 3 < 2)}")
    layout(root, names("stage_2_train_images/id{:04}x.dcm", 12), stage_2_train_labels__csv=text)
    return {"images": 12, "classes": ["0", "1"], "task": TWO, "patients": 12}


def siim_pneumothorax(root):
    """SIIM-ACR: run-length codes or -1; empty or not is what can be learned."""
    text = table_of("ImageId,EncodedPixels", 12, lambda i: f"1.2.{i},"
                                                           f" {'-1' if i % 2 else f'{i} 3 {i + 9} 4'}")
    layout(root, names("dicom-images-train/1.2.{}.dcm", 12), train__csv=text)
    return {"images": 12, "task": TWO, "codes": ["labels.measure"]}


def vinbigdata(root):
    """VinBigData: boxes of several radiologists; no finding is none."""
    text = table_of("image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max", 24,
                    lambda i: f"h{i // 2:03}," + ("No finding,14,R1,,,," if i // 2 % 3 == 0 else
                                                  f"{['Nodule', 'Mass'][i % 2]},{i % 2},R{i % 3},1,2,3,4"))
    layout(root, names("train/h{:03}.dicom", 12), train__csv=text)
    return {"images": 12, "task": MULTI, "findings": ["Nodule", "Mass"], "codes": ["rows.united"]}


def bccd(root):
    """BCCD test.csv: a row a cell; an image has several kinds."""
    text = table_of("filename,cell_type,xmin,xmax,ymin,ymax", 24,
                    lambda i: f"BloodImage_{i // 2:05}.jpg,"
                              f"{['RBC', 'WBC', 'Platelets'][(i % 2 + i // 2) % 3]},1,2,3,4")
    layout(root, names("images/BloodImage_{:05}.jpg", 12), test__csv=text)
    return {"images": 12, "task": MULTI, "findings": ["RBC", "WBC", "Platelets"]}


def odir_kaggle(root):
    """ODIR-5K of Kaggle: both eyes' files in each row, the file of the row, lists as Python writes them."""
    lines = ["ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus,N,D,labels,target,filename"]
    for i in range(12):
        side = ["left", "right"][i % 2]
        lines.append(f"{i // 2},60,Male,{i // 2}_left.jpg,{i // 2}_right.jpg,{int(i // 2 % 2 == 0)},"
                     f"{int(i // 2 % 2)},"
                     f"\"['{'ND'[i // 2 % 2]}']\",\"[1, 0]\",{i // 2}_{side}.jpg")
    layout(root, [f"preprocessed_images/{i}_{side}.jpg" for i in range(6) for side in ("left", "right")],
           full_df__csv="\n".join(lines))
    return {"images": 12, "classes": ["N", "D"]}


def rfmid(root):
    """RFMiD: the same numbers as names in training, evaluation and test, a table beside each."""
    for part, word in (("Training_Set", "Training"), ("Evaluation_Set", "Validation"), ("Test_Set", "Testing")):
        texts(root, {f"{part}/RFMiD_{word}_Labels.csv": table_of(
            "ID,Disease_Risk,DR,ARMD,MH", 6, lambda i: f"{i + 1},{int(i > 0)},{int(i in (1, 2))},"
                                                       f"{int(i in (2, 3))},{int(i == 4)}")})
        texts(root, {f"{part}/{word}/{i + 1}.png": PIXELS for i in range(6)})
    return {"images": 18, "task": MULTI, "splits": ["train", "val", "test"], "codes": ["tables.united"]}


def pad_ufes(root):
    """PAD-UFES-20: metadata with words for yes and no; diagnostic is the label, patient_id the patient."""
    text = table_of("patient_id,lesion_id,smoke,drink,age,diagnostic,itch,img_id,biopsed", 12,
                    lambda i: f"PAT_{i // 2},{i},False,True,{50 + i},{['BCC', 'ACK', 'NEV'][i % 3]},True,"
                              f"PAT_{i // 2}_{i}.png,True")
    layout(root, [f"imgs_part_{i % 3 + 1}/PAT_{i // 2}_{i}.png" for i in range(12)], metadata__csv=text)
    return {"images": 12, "classes": ["BCC", "ACK", "NEV"], "patients": 6}


def messidor(root):
    """Messidor-2: grades by another name; one image without."""
    text = table_of("image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable", 12,
                    lambda i: f"IM{i:04}.JPG,{i % 5 if i < 11 else ''},{'' if i % 5 else 0},1")
    layout(root, names("IMAGES/IM{:04}.JPG", 12), messidor_data__csv=text)
    return {"images": 11, "classes": ["0", "1", "2", "3", "4"], "task_hint": "ordinal-regression", "left_out": {"no_label": 1}}


def eyepacs(root):
    """EyePACS of Kaggle: names without ending, level 0 to 4."""
    text = table_of("image,level", 20, lambda i: f"{i // 2 + 10}_{['left', 'right'][i % 2]},{i % 5}")
    layout(root, [f"train/{i // 2 + 10}_{['left', 'right'][i % 2]}.jpeg" for i in range(20)], trainLabels__csv=text)
    return {"images": 20, "classes": list("01234"), "task_hint": "ordinal-regression"}


def bone_age(root):
    """RSNA bone age: months are no classes; the sentence offers a threshold."""
    text = table_of("id,boneage,male", 30, lambda i: f"{1377 + i},{5 + 7 * i},{['True', 'False'][i % 2]}")
    layout(root, [f"boneage-training-dataset/{1377 + i}.png" for i in range(30)], labels__csv=text)
    return {"message": True, "path2": "labels.csv", "error": None}


def cbis_ddsm(root):
    """CBIS-DDSM: pathology, with file columns of crops and masks beside."""
    def line(i):
        return (f"P_{i // 2:05},{i % 4},LEFT,CC,{['BENIGN', 'MALIGNANT'][i % 2]},full/P{i}.jpg,"
                f"crop/C{i}.jpg,mask/M{i}.jpg")
    text = table_of("patient_id,breast_density,left or right breast,image view,pathology,image file path,"
                    "cropped image file path,"
                    "ROI mask file path", 12, line)
    layout(root, [*names("jpeg/full/P{}.jpg", 12), *names("jpeg/crop/C{}.jpg", 12)],
           **{"mass_case_description_train_set__csv": text})
    return {"images": 12, "classes": ["BENIGN", "MALIGNANT"], "patients": 6, "left_out": {"not_listed": 12}}


def inbreast(root):
    """INbreast: a workbook, and numbers that are only a part of the files' names."""
    data = workbook(["Patient ID", "Laterality", "View", "File Name", "ACR", "Bi-Rads"],
                    [["removed", "R", "CC", 20586908 + i, 1 + i % 4, str(1 + i % 5)] for i in range(12)])
    texts(root, {"INbreast.xlsx": data})
    layout(root, [f"AllDICOMs/{20586908 + i}_6c613a14b80a8591_MG_R_CC_ANON.dcm" for i in range(12)])
    return {"images": 12, "classes": ["1", "2", "3", "4", "5"]}


def inbreast_xls(root):
    """INbreast as it is: an old workbook is said plainly, not taken for a folder of nothing."""
    texts(root, {"INbreast.xls": b"\xd0\xcf\x11\xe0" + b"\0" * 500})
    layout(root, names("AllDICOMs/{}_x_MG_R_CC_ANON.dcm", 6))
    return {"error": "table.not_text"}


def mimic_cxr(root):
    """MIMIC-CXR-JPG: files and split in one table, findings in another, joined by the study."""
    files = [f"files/p10/p1000{i // 4}/s5000{i // 2}/d{i}.jpg" for i in range(16)]
    layout(root, files)
    texts(root, {"mimic-cxr-2.0.0-split.csv": table_of("dicom_id,study_id,subject_id,split", 16,
                                                       lambda i: f"d{i},5000{i // 2},1000{i // 4},"
                    f"{['train', 'test'][i // 12]}"),
                 "mimic-cxr-2.0.0-chexpert.csv": table_of("subject_id,study_id,Atelectasis,Edema,"
                                                          "Pneumonia", 8,
                                                          lambda i: f"1000{i // 2},5000{i},"
                    f"{['1.0', '', '-1.0'][i % 3]},"
                                                                    f"{['0.0', '1.0'][i % 2]},1.0")})
    return {"images": 16, "patients": 4, "task": MULTI, "splits": ["train", "test"],
            "codes": ["tables.joined", "labels.uncertain"]}


def open_i(root):
    """OpenI of Kaggle: reports with findings between semicolons, projections with the files,"
      " joined by uid."""
    layout(root, [f"images/{i // 2}_IM-{i}.dcm.png" for i in range(16)],
           indiana_reports__csv=table_of("uid,MeSH,Problems,impression", 8,
                                         lambda i: f"{i},x,"
                                                   f"{['normal', 'Opacity;Nodule', 'Nodule'][i % 3]},text"),
           indiana_projections__csv=table_of("uid,filename,projection", 16,
                                             lambda i: f"{i // 2},{i // 2}_IM-{i}.dcm.png,"
                                                       f"{['Frontal', 'Lateral'][i % 2]}"))
    return {"images": 16, "task": MULTI, "findings": ["Opacity", "Nodule"]}


def covid_radiography(root):
    """COVID-19 Radiography: class folders, and a workbook beside them that is of no use."""
    layout(root, [f"{c}/images/{c}-{i}.png" for c in ("COVID", "Normal") for i in range(6)])
    texts(root, {f"{c}.metadata.xlsx": workbook(["FILE NAME", "FORMAT", "SIZE", "URL"],
                                                [[f"{c}-{i}", "PNG", "256*256", "http"] for i in range(6)])
                 for c in ("COVID", "Normal")})
    return {"images": 12, "classes": ["COVID", "Normal"]}


def ham_dataverse(root):
    """HAM10000 of the Dataverse: tabs, quotes, no ending .csv."""
    text = table_of('"lesion_id"\t"image_id"\t"dx"\t"age"', 14,
                    lambda i: f'"HAM_{i // 2}"\t"ISIC_{i:07}"\t"{["nv", "mel", "bcc"][i % 3]}"\t"{40 + i}.0"')
    layout(root, names("HAM10000_images/ISIC_{:07}.jpg", 14), HAM10000_metadata__tab=text)
    return {"images": 14, "classes": ["nv", "mel", "bcc"], "patients": 7}


def isic_lesions(root):
    """ISIC 2018: one-hot ground truth, and the lesions in a table beside it."""
    layout(root, names("ISIC2018_Task3_Training_Input/ISIC_{:07}.jpg", 12))
    texts(root, {"ISIC2018_Task3_Training_GroundTruth.csv": table_of("image,MEL,NV,BCC,VASC", 12, lambda i: (
                     f"ISIC_{i:07}," + ",".join("1.0" if k == i % 3 else "0.0" for k in range(4)))),
                 "ISIC2018_Task3_Training_LesionGroupings.csv": table_of(
                     "image,lesion_id,diagnosis_confirm_type", 12, lambda i: f"ISIC_{i:07},HAM_{i // 3},"
                    f"histopathology")})
    return {"images": 12, "order": ["MEL", "NV", "BCC", "VASC"], "task": ONE, "patients": 4, "codes": ["labels.onehot"]}


def isic_2020(root):
    """ISIC 2020: diagnosis is mostly unknown, the target is meant."""
    text = table_of("image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,"
                    "benign_malignant,target", 20,
                    lambda i: f"ISIC_{i},IP_{i // 2},male,45.0,torso,"
                              f"{'melanoma' if i % 5 == 0 else 'unknown'},"
                              f"{'malignant' if i % 5 == 0 else 'benign'},{int(i % 5 == 0)}")
    layout(root, names("train/ISIC_{}.jpg", 20), train__csv=text)
    return {"images": 20, "task": TWO, "classes": ["0", "1"], "patients": 10}


def pcam(root):
    """Histopathologic cancer detection (PCam of Kaggle): id and label, a sample submission beside."""
    layout(root, names("train/{:040x}.tif", 12), train_labels__csv=table_of("id,"
                    "label", 12, lambda i: f"{i:040x},{i % 2}"),
           sample_submission__csv=table_of("id,label", 4, lambda i: f"{i + 99:040x},0"))
    return {"images": 12, "classes": ["0", "1"], "task": TWO}


FIRST = [rsna_pneumonia, siim_pneumothorax, vinbigdata, bccd, odir_kaggle, rfmid, pad_ufes, messidor, eyepacs,
         cbis_ddsm, inbreast, inbreast_xls, mimic_cxr, open_i, covid_radiography, ham_dataverse, isic_lesions,
         isic_2020, pcam]
