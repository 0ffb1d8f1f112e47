"""Attribution: per-document sums of token records, slices, shares of the gap and their intervals."""

from recallscope.slicing.attribution.atoms import atoms as atoms
from recallscope.slicing.attribution.atoms import read_atoms as read_atoms
from recallscope.slicing.attribution.atoms import write_atoms as write_atoms
from recallscope.slicing.attribution.attribute import Attribution as Attribution
from recallscope.slicing.attribution.attribute import attribute as attribute
from recallscope.slicing.attribution.controls import curve as curve
from recallscope.slicing.attribution.controls import interaction as interaction
from recallscope.slicing.attribution.controls import position_standardised as position_standardised
from recallscope.slicing.attribution.shapley import shapley as shapley
from recallscope.slicing.attribution.slices import partition as partition
from recallscope.slicing.attribution.summary import report as report
from recallscope.slicing.attribution.tables import format_table as format_table
from recallscope.slicing.attribution.thresholds import CONVENTIONS as CONVENTIONS
