"""Tables of the four reports that no run can stand beside, cell for cell as printed, each with what is wrong with it.

The rows that a run can be compared with stand in `core.runs.recipes`, and `core.evaluation.reported` puts both side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PrintedTable:
    """A table as a report printed it.

    Args:
        report: "R000", "R001", "R002" or "R004"
        columns: headings; the first column names the row
        rows: cells as text, as printed, one for each column
        notes: what a careful reader finds
    """
    report: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def _table(report: str, title: str, text: str, *notes: str) -> PrintedTable:
    """text: a line for each row, the headings first, cells between bars."""
    columns, *rows = (tuple(cell.strip() for cell in line.split("|")) for line in text.strip().splitlines())
    return PrintedTable(report, title, columns, tuple(rows), notes)


PRINTED_TABLES = (
    _table("R000", "Images of each split", """
        Class | Training | Validation | Test | Total
        Elbow | 2048 | 292 | 585 | 2925
        Shoulder | 2948 | 421 | 842 | 4211
        Wrist | 4036 | 576 | 1153 | 5765
        Total | 9032 | 1289 | 2580 | 12941""",
           "The grand total is a misprint: rows and columns add up to 12,901.",
           "The 12,901 images show 4,258 patients, about three each: a split by image puts most patients on both sides."),
    _table("R000", "Parameters of networks, in millions (from a paper on another network, Semi-CNN)", """
        Network | 2D-CNN | 3D-CNN | Semi-CNN, pretrained part | Semi-CNN, total
        VGG-16 | 134.7 | 179.1 | 5.3 | 82.2
        ResNet-18 | 11.4 | 33.3 | .4 | 31.7
        ResNet-34 | 21.5 | 63.6 | .8 | 60.5
        ResNet-50 | 23.9 | 46.4 | .9 | 45.8
        ResNet-101 | 42.8 | 85.5 | .9 | 84.8
        ResNet-152 | 58.5 | 117.6 | 1.4 | 115.6
        DenseNet-121 | 7.2 | 11.4 | .8 | 10.4
        DenseNet-169 | 12.8 | 18.8 | .8 | 17.9""",
           "Half the parameters do not mean half the resources: multiply-adds, memory of the activations and latency are other "
           "numbers, and a DenseNet needs much memory. The page Network shows all four."),
    _table("R000", "Layers in each dense block", """
        Network | Block 1 (56 px) | Block 2 (28 px) | Block 3 (14 px) | Block 4 (7 px)
        DenseNet-121 | 6 | 12 | 24 | 16
        DenseNet-169 | 6 | 12 | 32 | 32
        DenseNet-201 | 6 | 12 | 48 | 32
        DenseNet-264 | 6 | 12 | 64 | 48"""),
    _table("R001", "Class weights", """
        Class | Training images | Weight
        0, normal | 19741 | 0.83904058
        1, abnormal | 13386 | 1.23737487""",
           "They are scikit-learn's 'balanced' weights, n / (classes x images of the class), of the 33,127 images that "
           "are left when a tenth becomes validation. The report prints no counts; these follow from its weights."),
    _table("R001", "Rows printed twice, with different numbers", """
        Run | Number | In one table | In another
        DenseNet201, all | Accuracy | .724 | .725
        DenseNet201, all | Precision | .734 | .735
        DenseNet201, all | Recall | .719 | .720
        DenseNet201, augmented, all | Accuracy | .703 | 0.73
        DenseNet201, FOREARM | Accuracy | .641 | .642
        DenseNet201, FOREARM | Batch size | 16 | 4"""),
    _table("R001", "Confusion matrices that fit the printed metrics (not in the report)", """
        Run | TN | FP | FN | TP
        CNN, all | 499 | 1168 | 229 | 1301
        DenseNet201, all | 1400 | 267 | 613 | 917
        DenseNet169, all | 1461 | 206 | 683 | 847
        DenseNet121, all | 1385 | 282 | 613 | 917
        DenseNet201, augmented, all | 1516 | 151 | 798 | 732
        DenseNet169, WRIST | 1364 | 303 | 689 | 841
        DenseNet201, FOREARM | 980 | 687 | 457 | 1073""",
           "Reconstructed for the 1,667 normal and 1,530 abnormal images of the official test set; "
           "a few neighbours fit as well.",
           "The rows of one body part fit these images too and not those of their part: they were evaluated on all parts.",
           "The CNN flags most normal images (specificity .30). With augmentation DenseNet201 finds 732 abnormal images instead "
           "of 917."),
    _table("R002", "BreastMNIST: three methods, two networks", """
        Network, method | Best epoch | AUC | Accuracy
        ResNet-18, original | 0 | .49603 | .73077
        ResNet-18, augmentation | 7 | .64536 | .64744
        ResNet-18, DCGAN | 73 | .81725 | .78846
        ResNet-50, original | 99 | .86967 | .80128
        ResNet-50, augmentation | 37 | .59273 | .65385
        ResNet-50, DCGAN | 42 | .86299 | .80128""",
           "Always predicting the majority class is right for 114 of 156, .731: the first row does just that, the augmented ones "
           "are below it.",
           "With ResNet-50 generated images change nothing: 125 of 156 with and without.",
           "It does not say on which split the GAN was trained, nor which labels its images got."),
    _table("R002", "PneumoniaMNIST, ResNet-18", """
        Method | Best epoch | AUC | Accuracy
        original | 78 | .96157 | .84295
        augmentation | 25 | .94362 | .80609"""),
    _table("R002", "RetinaMNIST, ResNet-18: AutoAugment policies", """
        Policy | Best epoch | Training AUC | Training accuracy | Validation AUC | Validation accuracy | Test AUC | Test accuracy
        none (original) | 4 | .86832 | .62222 | .80850 | .55000 | .71389 | .54000
        ImageNet | 1 | .83553 | .56701 | .75999 | .50313 | .68577 | .49812
        CIFAR-10 | 1 | .83571 | .58819 | .74616 | .47083 | .69558 | .49188
        SVHN | 2 | .87301 | .65127 | .76377 | .50625 | .69440 | .49875""",
           "Accuracies of the policies are not a whole number of 1,080, 120 or 400 images: they are averages over batches, or of "
           "other images.",
           "The best epochs are the first ones: these networks are hardly trained.",
           "The policies are for photographs: they invert, solarise and posterise, which no fundus camera does."),
    _table("R002", "OCTMNIST, ResNet-18", """
        Metric | Printed
        AUC | .95088
        Accuracy | 075226""", "The decimal point is missing, and .75226 is not a whole number of the 1,000 test images."),
    _table("R002", "FLOPs of the networks, in billions", """
        Network | FLOPs
        ResNet-18 | 1.8
        ResNet-34 | 3.6
        ResNet-50 | 3.8
        ResNet-101 | 7.6
        ResNet-152 | 11.3""", "At 224 px; at the 28 px of its images about a sixty-fourth."),
    _table("R004", "Average of the F1 (SqueezeNet 1.0)", """
        Average | TP | FN | FP | TN | F1
        macro | 15 | 15 | 44 | 204 | .33
        micro | 19 | 11 | 45 | 203 | .40
        weighted | 15 | 15 | 40 | 208 | .35
        binary | 16 | 14 | 50 | 198 | .33""",
           "The average only changes what is reported. Other counts come from another training: they show how far runs differ.",
           "The macro F1 of .33 is that of class 1 alone; the true macro F1 of these counts is .48 to .64."),
    _table("R004", "Model summary of SqueezeNet 1.0 with its head", """
        Layer | Parameters | Trainable
        Backbone, all layers | 735424 | no
        BatchNorm1d | 2048 | yes
        Linear | 524288 | yes
        BatchNorm1d | 1024 | yes
        Linear | 1024 | yes
        Total | 1263808 | 528384"""),
    _table("R004", "Survey 1, mammograms: dense blocks of DenseNet-121", """
        Dense blocks | Training loss | Training accuracy (%) | Validation loss | Validation accuracy (%) | Running time
        4 | .3493 | 96.31 | .4380 | 87.31 | 2h38m58s
        3 | .3407 | 97.20 | .4408 | 87.12 | 2h31m56s
        2 | .3960 | 91.68 | .4324 | 88.27 | 2h19m32s
        1 | .4625 | 85.76 | .4588 | 85.77 | 2h6m49s""",
           "One training each, without an interval: four, three and two blocks lie within 1.2 points."),
    _table("R004", "Survey 1, mammograms: layers in the last of two dense blocks", """
        Layers | Training loss | Training accuracy (%) | Validation loss | Validation accuracy (%) | Running time
        12 | .4013 | 91.39 | .4290 | 88.46 | 2h11m38s
        11 | .3262 | 98.80 | .4232 | 88.65 | 2h10m41s
        10 | .3293 | 98.47 | .4240 | 88.65 | 2h6m6s
        9 | .3456 | 97.01 | .4250 | 88.46 | 2h9m2s
        8 | .3436 | 97.12 | .4258 | 88.46 | 2h6m56s
        7 | .3220 | 99.22 | .4279 | 88.65 | 2h6m7s
        6 | .3345 | 98.83 | .4107 | 90.38 | 2h3m57s
        5 | .3314 | 98.34 | .4258 | 88.85 | 2h2m19s
        4 | .3366 | 97.76 | .4149 | 89.61 | 2h2m1s
        3 | .3442 | 97.16 | .4155 | 89.62 | 1h59m48s
        2 | .3392 | 97.60 | .4135 | 90.00 | 2h0m1s
        1 | .3465 | 96.82 | .4263 | 88.85 | 1h59m21s""",
           "Twelve settings lie between 88.46 and 90.38 %; the best was chosen on the images that report "
           "it, without an interval.",
           "Twelve layers in the last block are the two blocks of the table above: trained again, they differ from it by 0.19 "
           "points and 8 minutes."),
    _table("R004", "Survey 2, Deep-COVID: test on 100 COVID and 3,000 other images", """
        Network | Sensitivity (%) | Specificity (%)
        ResNet-18 | 98 \u00b1 2.7 | 90.7 \u00b1 1.1
        ResNet-50 | 98 \u00b1 2.7 | 89.6 \u00b1 1.1
        SqueezeNet | 98 \u00b1 2.7 | 92.9 \u00b1 .9
        DenseNet-121 | 98 \u00b1 2.7 | 75.1 \u00b1 1.5""",
           "98 \u00b1 2.7 % on 100 images is Wald's interval and passes 100 %; Wilson's is 93.0 to 99.4 %.",
           "The sensitivities are equal because each threshold was set for them, so only the specificities can be compared."),
    _table("R004", "Survey 2, Deep-COVID: images", """
        Split | COVID | Not COVID
        Training | 84 | 2000
        Training, augmented (flips, rotation, noise) | 420 | 2000
        Test | 100 | 3000""", "420 augmented images still show the lungs of 84."),
)


def tables_of(report: str) -> Sequence[PrintedTable]:
    """Return the tables of a report, in the order in which they are printed.

    >>> [table.title for table in tables_of("R001")][0]
    'Class weights'
    """
    return [table for table in PRINTED_TABLES if table.report == report]
