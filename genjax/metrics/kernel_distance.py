"""Kernel distance between features (Binkowski et al. 2018, sec. 4, with a named extractor)."""

from genjax.metrics.features import Distance, FeatureSets
from genjax.metrics.mmd import cubic_kernel, unbiased_mmd2


def kernel_distance(sets: FeatureSets) -> Distance:
    """Unbiased squared MMD between real and generated features under the kernel (x.y / d + 1)^3.

    Its mean is 0 if both sets come from one distribution, whatever the number of images, so single values can be
    negative. All pairs of images are used, where the paper averages over blocks of 1000 images. Raises ValueError if a
    set has fewer than two images or features that are not finite.
    """
    real, fake = sets.in_float64()
    value = unbiased_mmd2(real, fake, cubic_kernel()).value
    return Distance(value, sets.protocol("Kernel distance, cubic polynomial, unbiased"))
