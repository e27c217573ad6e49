"""The read options of a table of images, and the names by which columns are known."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, fields, replace
from functools import lru_cache

from core.datasets.file_names import check_pattern
from core.datasets.fingerprints import later
from core.datasets.intensity import intensity_text
from core.errors import LightboxError

SEPARATORS = ("|", ";", ",", "/", "+")
ROLES = ("patient", "study", "view", "split")
LIST = "list"               # as a separator: ['a', 'b'], as a program writes a list
CHOICES = {                 # option -> what it may be, the first is taken where nothing else is chosen
    "uncertain": ("ignore", "zeros", "ones", "class"),
    "blanks": ("no", "unknown", "leave out"),
    "missing": ("leave out", "class"),
    "repeats": ("unite", "leave out", "majority", "any")}

# Names of columns as people write them, in lower case without spaces and punctuation.
COLUMN_NAMES = {
    "file": {"file", "filename", "filepath", "path", "image", "imagename", "imagefile", "imagepath", "imgpath", "imageindex",
             "img", "imageid", "name", "bild", "bilddatei", "dateiname", "datei", "nomfichier", "fichier", "imagen", "archivo",
             "nombrearchivo", "bildname", "fname", "filestem", "imgname", "idcode", "dicomid", "imagefilepath", "xrayimagename"},
    "label": {"label", "labels", "class", "classname", "diagnosis", "dx", "finding", "findings", "findinglabels", "target",
              "category", "grade", "kl", "klg",
              "klgrade", "severity", "outcome", "died", "death", "mortality", "abnormal", "pathology",
              "disease", "result", "diagnostic", "level", "problems", "celltype", "birads", "malignancy", "malignant",
              "cancer", "tumor", "tumour", "cdr", "diagnose", "befund", "klasse", "severite", "diagnostico", "clase",
              "classe", "classification", "pathologyclassification", "fractured", "etiqueta", "hallazgo", "hallazgos",
              "stadium"},
    "patient": {"patient", "patientid", "patientnumber", "patientno", "pid", "subject", "subjectid", "participant",
                "participantid", "person", "personid", "ptid", "anonid", "patientunmasked", "mrn", "subjectnumber",
                "patientname", "pat", "patid", "patnr", "patientennummer", "patientenid", "patientindex", "npatient", "paciente",
             "idpaciente", "paziente", "hospitalno", "hospitalnumber", "volunteer",
                "volunteerid", "donor", "donorid", "animal", "animalid", "individual", "individualid"},
    "study": {"study", "studyid", "studyuid", "studyinstanceuid", "exam", "examid", "accession", "accessionnumber", "followup"},
    "view": {"view", "viewposition", "projection"},
    "split": {"split", "set", "subset", "partition", "usage", "fold"},
    "other": {"age", "sex", "gender", "date", "year", "id", "license", "licence", "source", "url", "doi", "width", "height",
              "notes", "comment", "offset", "offsetdays", "hospital", "site", "laterality", "side", "male", "female", "modality",
              "format", "eye", "camera", "device", "quality", "dxtype", "isfrontal", "appa", "frontallateral", "mf", "hand",
              "frontal", "lateral", "oblique", "censorship", "censored", "race", "ethnicity", "geschlecht", "alter", "sexe",
              "sexo", "edad", "kfold", "operator"}}
GROUPS = {                  # columns whose images belong together where no patient is known, the best first
    "case": {"case", "caseid", "casenumber", "caseno", "casenum"}, "lesion": {"lesion", "lesionid"},
    "slide": {"slide", "slideid", "wsi", "slidename"},
    "study": {"study", "studyid", "studyuid", "studyinstanceuid", "exam", "examid", "accession", "accessionnumber"},
    "series": {"series", "seriesinstanceuid", "seriesid", "sequence", "sequenceid", "videoid", "video"}}
LABEL_WORDS = {"label", "labels", "class", "diagnosis", "finding", "findings", "grade", "level", "pathology", "disease",
               "category", "target", "outcome", "type", "status", "abnormality", "severity", "stage", "birads", "rads", "icdr",
               "malignant", "cancer", "score", "tumor", "tumour", "assessment", "categories", "retinopathy", "density",
               "consensus", "result", "histology"}
CONSENSUS = {"consensus", "majority", "final", "adjudicated", "truth", "gold", "agreed"}
READERS = {"reader", "radid", "rater", "annotator", "grader", "observer", "radiologist", "readerid", "raterid", "expert"}
BOXES = {"xmin", "ymin", "xmax", "ymax", "x1", "y1", "x2", "y2", "bbox", "box", "boxes", "geometry", "polygon", "encodedpixels",
         "segmentation", "xcenter", "bboxx", "bboxxywh"}
NOT_IMAGES = {"mask", "masks", "roi", "cropped", "crop", "segmentation", "heatmap", "annotation", "xml", "json"}
NO_FINDING = ("no finding", "no findings", "no_finding", "none", "normal", "nothing", "healthy", "negative")

FROM_NAMES, FROM_FOLDERS, FROM_ROWS = "patient (file names)", "split (folders)", "patient (rows)"      # columns that are made
FROM_LABELS, SPLIT_COLUMN = "label (file names)", "split (tables)"


@dataclass(frozen=True)
class TableOptions:
    """How a table is read. "" is guessed, "-" is none.

    Args:
        delimiter: between the cells of a line; a single character, or "tab"
        encoding: a key of `delimited.ENCODINGS`
        folder: where the images are; "" is the folder of the table. Files are found in it and below
        file: column with the names of the image files; the suffix may differ
        labels: columns with labels, each a target
        separator: between the findings in one cell, which makes the target multi-label; "list" for ['a', 'b']
        nothing: the value that means "no finding"
        together: label columns that hold only yes, no and nothing are the findings of one multi-label target
        ordinal: the classes are grades, in their natural order
        patient, study, view, split: columns
        header: "yes" or "no": whether the first line has the names of the columns
        names: of the columns of a table without header
        tables: files that are read together, where the path is a folder
        more_files: further columns with names of files: other images of the same row
        one_of: exactly one of the label columns is yes, so they are the classes of one target, in their order
        uncertain: -1 in a column of findings: "ignore" (counts in no loss), "zeros", "ones", "class" (CheXpert's policies)
        blanks: an empty cell in a column of findings: "no", "unknown", or "leave out" the row
        missing: nan, NA, ? ... as a label: "leave out" the row, or a "class"
        repeats: rows about one image that differ: "unite" (it has all of these findings), "leave out", "majority", "any"
        as_typed: 1 and 1.0 are two different values
        threshold: of a measurement: two classes, below it, and from it on
        bands: of a measurement: a number (so many classes with as many images each) or limits "0 12 60"
        filled: two classes, empty or not
        rules: 2 where options were guessed by the rules of today, so that sets of before are read as they were
        intensity: as in FolderOptions
        pattern: regular expression with groups named label and patient, searched in the paths of the files
    """

    delimiter: str = ""
    encoding: str = ""
    folder: str = ""
    file: str = ""
    labels: tuple[str, ...] = ()
    separator: str = ""
    nothing: str = ""
    together: bool = False
    ordinal: bool = False
    patient: str = ""
    study: str = ""
    view: str = ""
    split: str = ""
    header: str = later("")
    names: tuple[str, ...] = later(())
    tables: tuple[str, ...] = later(())
    more_files: tuple[str, ...] = later(())
    one_of: bool = later(False)
    uncertain: str = later("")
    blanks: str = later("")
    missing: str = later("")
    repeats: str = later("")
    as_typed: bool = later(False)
    threshold: str = later("")
    bands: str = later("")
    filled: bool = later(False)
    rules: int = later(0)
    intensity: str = later("")
    pattern: str = later("")

    def __post_init__(self) -> None:
        if self.pattern:
            check_pattern(self.pattern)
        object.__setattr__(self, "intensity", intensity_text(self.intensity))
        for name, choices in CHOICES.items():
            if getattr(self, name) not in ("", *choices):
                raise LightboxError("own.reading", f"{name} is {getattr(self, name)[:80]!r}.", f"It can be {', '.join(choices)}.")

    @property
    def roles(self) -> dict[str, str]:
        """Role -> its column."""
        return {role: getattr(self, role) for role in ROLES}

    @property
    def measured(self) -> bool:
        """Whether the labels are made from a measurement."""
        return bool(self.threshold or self.bands or self.filled)


GUESS_ALL = TableOptions()
OLD_RULES = {"missing": "class", "blanks": "leave out", "repeats": "leave out", "as_typed": True, "rules": 1}


def by_old_rules(options: TableOptions) -> TableOptions:
    """Return options that a saved set of before has written out in full, with what was then no choice; others as they are."""
    first = [f for f in fields(options) if not f.metadata.get("later") and f.default == ""]
    full = options.labels and all(getattr(options, f.name) for f in first)
    return replace(options, **OLD_RULES) if full and not options.rules else options


def guess_separator(cells: list[str]) -> str:
    """Return the character that joins several findings in one cell, "" where none does.

    A bar or a semicolon in any cell is one; a comma, slash or plus only where splitting leaves fewer different values.

    >>> guess_separator(["Effusion|Nodule", "No Finding"]), guess_separator(["left, upper", "right, lower"])
    ('|', '')
    >>> guess_separator(["3+3", "3+4", "4+4", "4+3"]), guess_separator(["0 16", "7", "0 7", "16"])
    ('', ' ')
    """
    different = set(cells)
    for separator in SEPARATORS:
        joined = {part for cell in different if separator in cell for part in cell.split(separator)}
        if joined and not (separator in "/+" and all(part.strip().isdecimal() for part in joined)):      # 3+4, 20/40
            if separator in "|;" or len(split_findings(cells, separator)) < len(different):
                return separator
    if all(re.fullmatch(r"\d+( \d+)*", cell) for cell in different if cell) and any(" " in cell for cell in different) and (
            len(split_findings(cells, " ")) <= len(different) + 1):
        return " "
    return ""


def split_findings(cells: list[str], separator: str) -> set[str]:
    """Return all different findings in some cells."""
    return {part.strip() for cell in set(cells) for part in cell.split(separator)} - {""}


@lru_cache(100_000)
def plain(name: str) -> str:
    """Return the name of a column in lower case without spaces, punctuation and accents."""
    letters = name if name.isascii() else unicodedata.normalize("NFKD", name)
    return re.sub(r"[^a-z0-9]", "", letters.lower())


def is_named(column: str) -> bool:
    """Return whether a column has a name from its table: "column 2" is the second of one without a line of names."""
    return not column.startswith("column ") and column != SPLIT_COLUMN
