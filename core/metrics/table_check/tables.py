"""Tables of the four reports as they are printed, to be checked by `core.metrics.table_check.parse`.

Numbers are text, with the digits that were printed. The sizes of the test parts are those of the public sets:
MURA's official validation lists, MedMNIST v2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PrintedTable:
    """Args:
        title: what a person chooses it by
        text: a table with headings, as `check_table` reads it
        note: what is to be seen in it
    """
    title: str
    text: str
    note: str


PRINTED_TABLES = {
    "r000-split": PrintedTable("Body parts in MURA (R000): images of each part of the split", """\
Part, Train, Val, Test, Total
Elbow, 2048, 292, 585, 2925
Shoulder, 2948, 421, 842, 4211
Wrist, 4036, 576, 1153, 5765
Total, 9032, 1289, 2580, 12941""", "The rows and columns add up, but for the number in the corner."),
    "r000-test": PrintedTable("Body parts in MURA (R000): test accuracy of its two networks", """\
Network, accuracy, n
DenseNet-169, 0.9810077519379845, 2580
ResNet-50, 0.98372, 2580""", "Both are whole numbers of images: 49 and 42 errors. Their intervals overlap widely."),
    "r001": PrintedTable("Normal or abnormal in MURA (R001): its networks, each with the images that its name implies", """\
Run, accuracy, precision, recall, f1, kappa, n, positive
Own CNN, .563, .606, .575, .534, .146, 3197, 1530
DenseNet-201, .724, .734, .719, .718, .443, 3197, 1530
DenseNet-201 (second table), .725, .735, .720, .718, .443, 3197, 1530
DenseNet-169, .722, .743, .715, .711, .436, 3197, 1530
DenseNet-121, .720, .729, .715, .714, .434, 3197, 1530
DenseNet-201 augmented, .703, .742, .694, .684, .395, 3197, 1530
DenseNet-201 augmented (second table), 0.73, .742, .694, .684, .395, 3197, 1530
DenseNet-169 wrist, .690, .700, .684, .681, .372, 659, 295
DenseNet-201 wrist, .686, .693, .681, .679, .365, 659, 295
DenseNet-121 wrist, .670, .671, .666, .666, .335, 659, 295
DenseNet-169 elbow, .665, .667, .661, .660, .324, 465, 230
DenseNet-201 forearm, .642, .646, .645, .642, .287, 301, 151
DenseNet-121 wrist batches of 32, .654, .657, .649, .647, .301, 659, 295
DenseNet-121 elbow, .662, .662, .660, .660, .320, 465, 230""",
                         "An accuracy of 0.73 is inconsistent with its other numbers. The seven rows of single body parts do not "
                         "fit the images of their own part, but they do fit the whole test set."),
    "r002": PrintedTable("MedMNIST (R002): accuracies on the test parts", """\
Run, accuracy, n
PathMNIST ResNet-18, .87549, 7180
PathMNIST ResNet-50, .86335, 7180
DermaMNIST ResNet-18, .70324, 2005
DermaMNIST ResNet-50, .71334, 2005
OCTMNIST ResNet-18, 075226, 1000
OCTMNIST ResNet-50, .77201, 1000
PneumoniaMNIST ResNet-18, .84295, 624
PneumoniaMNIST ResNet-50, .87512, 624
PneumoniaMNIST ResNet-18 augmented, .80609, 624
RetinaMNIST ResNet-18, .54000, 400
RetinaMNIST ResNet-50, .46500, 400
BreastMNIST ResNet-18, .73077, 156
BreastMNIST ResNet-18 augmented, .64744, 156
BreastMNIST ResNet-18 with DCGAN, .78846, 156
BreastMNIST ResNet-50, .80128, 156
BreastMNIST ResNet-50 augmented, .65385, 156""", "Some accuracies are not a whole number of test images."),
    "r002-retina": PrintedTable("MedMNIST (R002): RetinaMNIST with three policies", """\
Policy and part, accuracy, n
ImageNet train, .56701, 1080
ImageNet validation, .50313, 120
ImageNet test, .49812, 400
CIFAR-10 train, .58819, 1080
CIFAR-10 validation, .47083, 120
CIFAR-10 test, .49188, 400
SVHN train, .65127, 1080
SVHN validation, .50625, 120
SVHN test, .49875, 400""", "None of these is a whole number of images."),
    "r004-networks": PrintedTable("COVID-19 mortality (R004): its five networks", """\
Network, TP, FN, FP, TN, F1
ResNet-18, 4, 26, 23, 225, .14
ResNet-34, 9, 21, 34, 214, .25
ResNet-50, 16, 14, 98, 150, .22
SqueezeNet 1.0, 15, 15, 44, 204, .33
SqueezeNet 1.1, 6, 24, 46, 202, .15""", "Each is less accurate than always predicting survival."),
    "r004-average": PrintedTable("COVID-19 mortality (R004): the average of F1", """\
Average, TP, FN, FP, TN, F1
macro, 15, 15, 44, 204, .33
micro, 19, 11, 45, 203, .40
weighted, 15, 15, 40, 208, .35
binary, 16, 14, 50, 198, .33""", "Every F1 is that of the positive class, whatever the row is called."),
    "r004-cut": PrintedTable("COVID-19 mortality (R004): where the network is cut", """\
cut, TP, FN, FP, TN, F1
-1, 12, 18, 47, 201, .27
1, 14, 16, 43, 205, .32
2, 8, 22, 29, 220, .24
20, 9, 21, 29, 219, .26
None, 19, 11, 45, 203, .40""", "One row has one image more than the others."),
}
