"""References for a methods text, with their BibTeX entries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A work: how a sentence names it, and the fields of its entry in their order."""

    authors: str  # as in a sentence
    year: int
    kind: str
    fields: Mapping[str, str]

    @property
    def cited(self) -> str:
        """As in parentheses: "Rao and Wu, 1988"."""
        return f"{self.authors}, {self.year}"

    def bibtex(self, key: str) -> str:
        fields = {**self.fields, "year": str(self.year)}
        width = max(map(len, fields))
        lines = (f"  {name:<{width}} = {{{value}}}," for name, value in fields.items())
        return "\n".join([f"@{self.kind}{{{key},", *lines, "}"]) + "\n"


_EMNLP = "Proceedings of the {} Conference on Empirical Methods in Natural Language Processing"
_ACL = "Association for Computational Linguistics"

REFERENCES: dict[str, Reference] = {
    "geva-etal-2021-transformer": Reference(
        "Geva et al.",
        2021,
        "inproceedings",
        {
            "title": "Transformer Feed-Forward Layers Are Key-Value Memories",
            "author": "Geva, Mor and Schuster, Roei and Berant, Jonathan and Levy, Omer",
            "booktitle": _EMNLP.format(2021),
            "pages": "5484--5495",
            "publisher": _ACL,
            "doi": "10.18653/v1/2021.emnlp-main.446",
        },
    ),
    "geva-etal-2022-transformer": Reference(
        "Geva et al.",
        2022,
        "inproceedings",
        {
            "title": "Transformer Feed-Forward Layers Build Predictions by Promoting Concepts in "
            "the Vocabulary Space",
            "author": "Geva, Mor and Caciularu, Avi and Wang, Kevin and Goldberg, Yoav",
            "booktitle": _EMNLP.format(2022),
            "pages": "30--45",
            "publisher": _ACL,
            "doi": "10.18653/v1/2022.emnlp-main.3",
        },
    ),
    "pedregosa-etal-2011-scikit": Reference(
        "Pedregosa et al.",
        2011,
        "article",
        {
            "title": "Scikit-learn: Machine Learning in {P}ython",
            "author": 'Pedregosa, Fabian and Varoquaux, Ga{\\"e}l and Gramfort, Alexandre and '
            "others",
            "journal": "Journal of Machine Learning Research",
            "volume": "12",
            "pages": "2825--2830",
        },
    ),
    "artstein-poesio-2008-inter": Reference(
        "Artstein and Poesio",
        2008,
        "article",
        {
            "title": "Inter-Coder Agreement for Computational Linguistics",
            "author": "Artstein, Ron and Poesio, Massimo",
            "journal": "Computational Linguistics",
            "volume": "34",
            "number": "4",
            "pages": "555--596",
            "doi": "10.1162/coli.07-034-R2",
        },
    ),
    "cohen-1960-coefficient": Reference(
        "Cohen",
        1960,
        "article",
        {
            "title": "A Coefficient of Agreement for Nominal Scales",
            "author": "Cohen, Jacob",
            "journal": "Educational and Psychological Measurement",
            "volume": "20",
            "number": "1",
            "pages": "37--46",
            "doi": "10.1177/001316446002000104",
        },
    ),
    "fleiss-1971-measuring": Reference(
        "Fleiss",
        1971,
        "article",
        {
            "title": "Measuring Nominal Scale Agreement among Many Raters",
            "author": "Fleiss, Joseph L.",
            "journal": "Psychological Bulletin",
            "volume": "76",
            "number": "5",
            "pages": "378--382",
            "doi": "10.1037/h0031619",
        },
    ),
    "gwet-2008-computing": Reference(
        "Gwet",
        2008,
        "article",
        {
            "title": "Computing Inter-rater Reliability and Its Variance in the Presence of High "
            "Agreement",
            "author": "Gwet, Kilem Li",
            "journal": "British Journal of Mathematical and Statistical Psychology",
            "volume": "61",
            "number": "1",
            "pages": "29--48",
            "doi": "10.1348/000711006X126600",
        },
    ),
    "collins-dent-1988-omega": Reference(
        "Collins and Dent",
        1988,
        "article",
        {
            "title": "Omega: A General Formulation of the {R}and Index of Cluster Recovery "
            "Suitable for Non-disjoint Solutions",
            "author": "Collins, Linda M. and Dent, Clyde W.",
            "journal": "Multivariate Behavioral Research",
            "volume": "23",
            "number": "2",
            "pages": "231--242",
            "doi": "10.1207/s15327906mbr2302_6",
        },
    ),
    "krippendorff-2011-computing": Reference(
        "Krippendorff",
        2011,
        "techreport",
        {
            "title": "Computing {K}rippendorff's Alpha-Reliability",
            "author": "Krippendorff, Klaus",
            "institution": "Annenberg School for Communication, University of Pennsylvania",
            "url": "https://repository.upenn.edu/handle/20.500.14332/2089",
        },
    ),
    "passonneau-2006-measuring": Reference(
        "Passonneau",
        2006,
        "inproceedings",
        {
            "title": "Measuring Agreement on Set-valued Items ({MASI}) for Semantic and Pragmatic "
            "Annotation",
            "author": "Passonneau, Rebecca",
            "booktitle": "Proceedings of the Fifth International Conference on Language Resources "
            "and Evaluation",
            "url": "https://aclanthology.org/L06-1392/",
        },
    ),
    "jaccard-1912-distribution": Reference(
        "Jaccard",
        1912,
        "article",
        {
            "title": "The Distribution of the Flora in the Alpine Zone",
            "author": "Jaccard, Paul",
            "journal": "New Phytologist",
            "volume": "11",
            "number": "2",
            "pages": "37--50",
            "doi": "10.1111/j.1469-8137.1912.tb05611.x",
        },
    ),
    "kuhn-1955-hungarian": Reference(
        "Kuhn",
        1955,
        "article",
        {
            "title": "The {H}ungarian Method for the Assignment Problem",
            "author": "Kuhn, Harold W.",
            "journal": "Naval Research Logistics Quarterly",
            "volume": "2",
            "number": "1--2",
            "pages": "83--97",
            "doi": "10.1002/nav.3800020109",
        },
    ),
    "vanrijsbergen-1979-information": Reference(
        "Van Rijsbergen",
        1979,
        "book",
        {
            "title": "Information Retrieval",
            "author": "van Rijsbergen, C. J.",
            "edition": "2",
            "publisher": "Butterworths",
        },
    ),
    "hubert-arabie-1985-comparing": Reference(
        "Hubert and Arabie",
        1985,
        "article",
        {
            "title": "Comparing Partitions",
            "author": "Hubert, Lawrence and Arabie, Phipps",
            "journal": "Journal of Classification",
            "volume": "2",
            "pages": "193--218",
            "doi": "10.1007/BF01908075",
        },
    ),
    "cliff-1993-dominance": Reference(
        "Cliff",
        1993,
        "article",
        {
            "title": "Dominance Statistics: Ordinal Analyses to Answer Ordinal Questions",
            "author": "Cliff, Norman",
            "journal": "Psychological Bulletin",
            "volume": "114",
            "number": "3",
            "pages": "494--509",
            "doi": "10.1037/0033-2909.114.3.494",
        },
    ),
    "phipson-smyth-2010-permutation": Reference(
        "Phipson and Smyth",
        2010,
        "article",
        {
            "title": "Permutation {P}-values Should Never Be Zero: Calculating Exact {P}-values "
            "When Permutations Are Randomly Drawn",
            "author": "Phipson, Belinda and Smyth, Gordon K.",
            "journal": "Statistical Applications in Genetics and Molecular Biology",
            "volume": "9",
            "number": "1",
            "doi": "10.2202/1544-6115.1585",
        },
    ),
    "holm-1979-simple": Reference(
        "Holm",
        1979,
        "article",
        {
            "title": "A Simple Sequentially Rejective Multiple Test Procedure",
            "author": "Holm, Sture",
            "journal": "Scandinavian Journal of Statistics",
            "volume": "6",
            "number": "2",
            "pages": "65--70",
            "url": "https://www.jstor.org/stable/4615733",
        },
    ),
    "satterthwaite-1946-approximate": Reference(
        "Satterthwaite",
        1946,
        "article",
        {
            "title": "An Approximate Distribution of Estimates of Variance Components",
            "author": "Satterthwaite, F. E.",
            "journal": "Biometrics Bulletin",
            "volume": "2",
            "number": "6",
            "pages": "110--114",
            "doi": "10.2307/3002019",
        },
    ),
    "owen-2007-pigeonhole": Reference(
        "Owen",
        2007,
        "article",
        {
            "title": "The pigeonhole bootstrap",
            "author": "Owen, Art B.",
            "journal": "The Annals of Applied Statistics",
            "volume": "1",
            "number": "2",
            "pages": "386--411",
            "doi": "10.1214/07-AOAS122",
        },
    ),
    "rao-wu-1988-resampling": Reference(
        "Rao and Wu",
        1988,
        "article",
        {
            "title": "Resampling Inference with Complex Survey Data",
            "author": "Rao, J. N. K. and Wu, C. F. J.",
            "journal": "Journal of the American Statistical Association",
            "volume": "83",
            "number": "401",
            "pages": "231--241",
            "doi": "10.1080/01621459.1988.10478591",
        },
    ),
    "cassel-etal-1976-some": Reference(
        "Cassel et al.",
        1976,
        "article",
        {
            "title": "Some Results on Generalized Difference Estimation and Generalized "
            "Regression Estimation for Finite Populations",
            "author": "Cassel, Claes M. and Särndal, Carl E. and Wretman, Jan H.",
            "journal": "Biometrika",
            "volume": "63",
            "number": "3",
            "pages": "615--620",
            "doi": "10.1093/biomet/63.3.615",
        },
    ),
    "angelopoulos-etal-2023-ppi": Reference(
        "Angelopoulos et al.",
        2023,
        "misc",
        {
            "title": "{PPI}++: Efficient Prediction-Powered Inference",
            "author": "Angelopoulos, Anastasios N. and Duchi, John C. and Zrnic, Tijana",
            "eprint": "2311.01453",
            "archiveprefix": "arXiv",
            "url": "https://arxiv.org/abs/2311.01453",
        },
    ),
    "calderon-etal-2025-alternative": Reference(
        "Calderon et al.",
        2025,
        "inproceedings",
        {
            "title": "The Alternative Annotator Test for {LLM}-as-a-Judge: How to Statistically "
            "Justify Replacing Human Annotators with {LLM}s",
            "author": "Calderon, Nitay and Reichart, Roi and Dror, Rotem",
            "booktitle": "Proceedings of the 63rd Annual Meeting of the Association for "
            "Computational Linguistics (Volume 1: Long Papers)",
            "pages": "16051--16081",
            "publisher": _ACL,
            "url": "https://aclanthology.org/2025.acl-long.782",
        },
    ),
    "benjamini-yekutieli-2001-control": Reference(
        "Benjamini and Yekutieli",
        2001,
        "article",
        {
            "title": "The Control of the False Discovery Rate in Multiple Testing under Dependency",
            "author": "Benjamini, Yoav and Yekutieli, Daniel",
            "journal": "The Annals of Statistics",
            "volume": "29",
            "number": "4",
            "pages": "1165--1188",
            "doi": "10.1214/aos/1013699998",
        },
    ),
}
"""Every work that a methods paragraph can cite, by its BibTeX key."""


def bibliography(text: str, *, version: str) -> str:
    """BibTeX entries of the works that a text cites, and of the software."""
    entries = [REFERENCES[key].bibtex(key) for key in cited_in(text)]
    return "\n".join([*entries, _software(version)])


def cite(*keys: str) -> str:
    """A citation in parentheses: "(Jaccard, 1912; Kuhn, 1955)"."""
    return f"({'; '.join(REFERENCES[key].cited for key in keys)})"


def cited_in(text: str) -> Iterable[str]:
    """The keys of the works that a text cites."""
    return [key for key, one in REFERENCES.items() if one.cited in text]


def _software(version: str) -> str:
    return f"""\
@software{{ffn-concepts,
  title   = {{{{FFN Concepts}}: labels for the concepts that feed-forward layers promote}},
  author  = {{{{The contributors of FFN Concepts}}}},
  version = {{{version}}},
  license = {{Apache-2.0}},
}}
"""
