"""How much requests count for as evidence, where whole units of them go to one instance.

A strategy that balances connections decides once for a connection, and all its requests follow. Ten
requests on one connection are then one choice counted ten times, not ten choices: a test that takes them
as ten finds a fair strategy unfair. The test is to be made on the unit that the strategy balances.
Where requests are reported beside it, the design effect says how many of them are worth one choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc

from harness.stats.fairness import ChiSquare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def design_effect(sizes: Sequence[int] | NDArray[np.integer]) -> float:
    """Say by how much units of several requests raise the variance of the instances' request counts.

    Parameters
    ----------
    sizes
        Requests of each unit, above 0; shape (units,).

    Returns
    -------
    float
        sum(m²) / sum(m) for m requests a unit, at least 1. That is the mean size where all are equal, and
        more where they differ, since few large units then decide.

    Raises
    ------
    ValueError
        There are no units, or a size is below 1.

    Notes
    -----
    With c_i the instance of unit i and m_i its requests, instance j has the requests
    sum(m_i [c_i = j]), whose variance is sum(m_i²) p_j (1 - p_j), against sum(m_i) p_j (1 - p_j) for
    independent requests. All requests of a unit share one instance, so the correlation within units,
    which design effects have to estimate in general, is 1. L. Kish, Survey Sampling (1965); used for
    chi-square tests of clustered counts in Biometrical Journal 36 (1994), doi 10.1002/bimj.4710360105.
    """
    requests = np.asarray(sizes)
    if requests.ndim != 1 or requests.size == 0:
        raise ValueError("the sizes of one unit or more are needed")
    if not requests.min() >= 1:
        raise ValueError(f"a unit has one request or more, not {requests.min()}")
    # Squares of many requests are exact in whole numbers, as long as they fit.
    requests = requests.astype(np.int64, copy=False)
    return int(requests @ requests) / int(requests.sum())


def corrected(test: ChiSquare, design_effect: float) -> ChiSquare:
    """Correct a test on requests for their coming in units.

    Parameters
    ----------
    test
        Pearson's test on the instances' requests.
    design_effect
        What the function of that name says of the units; at least 1.

    Returns
    -------
    ChiSquare
        The statistic divided by the design effect, and the p-value that follows.

    Raises
    ------
    ValueError
        The design effect is below 1 or no number.

    Notes
    -----
    The first-order correction of J. N. K. Rao and A. J. Scott (J. Am. Statist. Assoc. 76, 1981) divides
    by the mean of the generalised design effects. Here these are all equal, and the corrected statistic
    has a chi-square distribution for many units: it is the units' number that has to be large, not that
    of their requests.
    """
    if not 1 <= design_effect < np.inf:
        raise ValueError(f"a design effect is at least 1, not {design_effect}")
    statistic = test.statistic / design_effect
    return ChiSquare(statistic, test.dof, float(chdtrc(test.dof, statistic)) if test.dof else 1.0)
