"""Ready-made filters against their formulas, tap by tap."""

import itertools
import math

import numpy as np
import pytest

from weightsharing import filters

pytestmark = pytest.mark.python_only

EXTENTS = [(5,), (4,), (3, 6), (7, 1), (2, 3, 4), (3, 3, 2, 5)]


def taps(shape):
    """Every index of a filter with its position relative to the middle of the extent."""
    for index in itertools.product(*map(range, shape)):
        yield index, [k - (size - 1) / 2 for k, size in zip(index, shape, strict=True)]


@pytest.mark.parametrize("shape", EXTENTS)
@pytest.mark.parametrize("normalise", ["sum", "peak", "density"])
def test_gaussian_is_its_formula(shape, normalise):
    sigmas = [0.8, 1.5, 2.0, 0.6][: len(shape)]
    expected = np.empty(shape)
    for index, position in taps(shape):
        expected[index] = math.exp(-sum(x * x / (2 * s * s) for x, s in zip(position, sigmas, strict=True)))
    if normalise == "sum":
        expected /= expected.sum()
    if normalise == "density":
        expected /= math.prod(s * math.sqrt(2 * math.pi) for s in sigmas)
    result = filters.gaussian(shape, sigmas, normalise)
    assert result.dtype == np.float64 and result.shape == shape
    np.testing.assert_allclose(result, expected, rtol=1e-13)


def test_gaussian_takes_one_sigma_for_all_axes_and_an_integer_for_one_axis():
    np.testing.assert_array_equal(filters.gaussian((5, 3), 1.2), filters.gaussian([5, 3], [1.2, 1.2]))
    assert filters.gaussian(np.int64(5), np.float32(1.0)).shape == (5,)


def test_gaussian_density_integrates_to_one():
    assert filters.gaussian((41, 41), 3.0, "density").sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("sigma", [1e-3, 1e-200, 1e200])
def test_gaussian_of_extreme_sigma_still_sums_to_one(sigma):
    assert filters.gaussian((5,), sigma).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(filters.gaussian((2,), sigma), [0.5, 0.5])


@pytest.mark.parametrize("shape", EXTENTS)
def test_dog_is_the_difference(shape):
    result = filters.dog(shape, 0.7, 1.9, 2.0, 0.5, normalise="peak")
    expected = np.empty(shape)
    for index, position in taps(shape):
        square = sum(x * x for x in position)
        expected[index] = 2.0 * math.exp(-square / (2 * 0.7**2)) - 0.5 * math.exp(-square / (2 * 1.9**2))
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-15)


def test_dog_gives_no_response_to_uniform_rates_by_default():
    result = filters.dog((9, 9), 1.0, 2.5)
    assert abs(result.sum()) < 1e-15
    assert result[4, 4] > 0 > result[0, 4]


@pytest.mark.parametrize("shape", [(7, 7), (6, 9), (3, 8)])
@pytest.mark.parametrize("orientation", [0.0, 0.4, math.pi / 2, -2.0])
@pytest.mark.parametrize("phase", [0.0, 1.1])
def test_gabor_is_its_formula(shape, orientation, phase):
    wavelength, sigma, aspect = 4.5, 2.1, 0.6
    envelope, wave = np.empty(shape), np.empty(shape)
    for index, (y, x) in taps(shape):
        u = x * math.cos(orientation) + y * math.sin(orientation)
        v = y * math.cos(orientation) - x * math.sin(orientation)
        envelope[index] = math.exp(-(u * u + aspect * aspect * v * v) / (2 * sigma * sigma))
        wave[index] = math.cos(2 * math.pi * u / wavelength + phase)
    arguments = (shape, wavelength, orientation, phase, sigma, aspect)

    plain = filters.gabor(*arguments, balanced=False, normalise="peak")
    np.testing.assert_allclose(plain, envelope * wave, rtol=1e-12, atol=1e-15)

    balanced = filters.gabor(*arguments, normalise="peak")
    mean = (envelope * wave).sum() / envelope.sum()
    np.testing.assert_allclose(balanced, envelope * (wave - mean), rtol=1e-12, atol=1e-14)

    scaled = filters.gabor(*arguments)
    np.testing.assert_allclose(scaled, balanced / np.abs(balanced).sum(), rtol=1e-13)
    assert abs(scaled.sum()) < 1e-14


def test_gabor_responds_to_bars_of_its_orientation():
    upright, lying = filters.gabor(11, 5.0, 0.0), filters.gabor(11, 5.0, math.pi / 2)
    np.testing.assert_allclose(upright, lying.T, atol=1e-15)
    bar = np.zeros((11, 11))
    bar[:, 5] = 1.0
    assert (upright * bar).sum() > 10 * abs((lying * bar).sum())
    edge = filters.gabor(11, 5.0, 0.0, math.pi / 2)
    assert edge[5, 4] > 0 > edge[5, 6]


def test_gabor_default_sigma_gives_a_band_of_one_octave():
    wavelength = 16.0
    row = filters.gabor((1, 513), wavelength, balanced=False)[0]
    spectrum = np.abs(np.fft.rfft(row, 1 << 16))
    band = np.flatnonzero(spectrum > spectrum.max() / 2)
    assert math.log2(band[-1] / band[0]) == pytest.approx(1.0, abs=0.01)


def test_gabor_bank_order():
    wavelengths, phases = [4.0, 7.0], [0.0, math.pi / 2]
    bank = filters.gabor_bank((9, 11), wavelengths, 4, phases, aspect=0.5)
    assert bank.shape == (16, 9, 11)
    for i, j, k in itertools.product(range(2), range(4), range(2)):
        single = filters.gabor((9, 11), wavelengths[i], j * math.pi / 4, phases[k], aspect=0.5)
        np.testing.assert_array_equal(bank[(i * 4 + j) * 2 + k], single)
    listed = filters.gabor_bank(9, 5.0, [0.1, 0.9])
    np.testing.assert_array_equal(listed[1], filters.gabor(9, 5.0, 0.9))


def test_gabor_bank_multiscale_fits_each_extent_to_its_envelope():
    bank = filters.gabor_bank_multiscale([3.0, 6.0], 2, aspect=0.5)
    reach = [math.ceil(3 * 0.5622 * wavelength / 0.5) for wavelength in (3.0, 6.0)]
    assert [weights.shape[0] for weights in bank] == [2 * reach[0] + 1] * 2 + [2 * reach[1] + 1] * 2
    expected = itertools.product([3.0, 6.0], [0.0, math.pi / 2])
    for weights, (wavelength, angle) in zip(bank, expected, strict=True):
        np.testing.assert_array_equal(weights, filters.gabor(weights.shape, wavelength, angle, aspect=0.5))
        assert np.abs(weights[[0, -1]]).max() < 0.02 * np.abs(weights).max()


@pytest.mark.parametrize("shape", EXTENTS)
def test_box_is_a_mean(shape):
    np.testing.assert_array_equal(filters.box(shape), np.full(shape, 1 / math.prod(shape)))
    np.testing.assert_array_equal(filters.box(shape, "peak"), np.ones(shape))


def test_laplacian_values():
    np.testing.assert_array_equal(filters.laplacian(1), [1, -2, 1])
    np.testing.assert_array_equal(filters.laplacian(), [[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    np.testing.assert_array_equal(filters.laplacian(2, diagonal=True), [[1, 1, 1], [1, -8, 1], [1, 1, 1]])
    assert filters.laplacian(4)[1, 1, 1, 1] == -8 and filters.laplacian(4, True)[1, 1, 1, 1] == -80


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_laplacian_of_a_quadratic_is_exact(dimension):
    position = np.indices((3,) * dimension) - 1
    quadratic = sum((a + 1) * position[a] ** 2 + 3 * position[a] for a in range(dimension))
    expected = sum(2 * (a + 1) for a in range(dimension))
    assert (filters.laplacian(dimension) * quadratic).sum() == expected


def test_sobel_values():
    np.testing.assert_array_equal(filters.sobel(0), [[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    np.testing.assert_array_equal(filters.sobel(1), filters.sobel(0).T)
    np.testing.assert_array_equal(filters.sobel(-1), filters.sobel(1))
    np.testing.assert_array_equal(filters.sobel(dimension=1), [-1, 0, 1])


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_normalised_sobel_measures_the_slope(dimension):
    for axis in range(dimension):
        ramp = 2.5 * np.indices((3,) * dimension)[axis]
        for other in range(dimension):
            response = (filters.sobel(other, dimension, normalise=True) * ramp).sum()
            assert response == (2.5 if other == axis else 0.0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: filters.gaussian((0, 3), 1.0), ValueError, "extent"),
        (lambda: filters.gaussian((-1,), 1.0), ValueError, "extent"),
        (lambda: filters.gaussian((2.5, 3), 1.0), TypeError, "extent.*2.5"),
        (lambda: filters.gaussian((True, 3), 1.0), TypeError, "extent"),
        (lambda: filters.gaussian("55", 1.0), TypeError, "extent"),
        (lambda: filters.gaussian((), 1.0), ValueError, "0 axes"),
        (lambda: filters.gaussian((1, 1, 1, 1, 1), 1.0), ValueError, "5 axes"),
        (lambda: filters.gaussian((3, 3), 0.0), ValueError, "sigma"),
        (lambda: filters.gaussian((3, 3), -1), ValueError, "sigma"),
        (lambda: filters.gaussian((3, 3), math.nan), ValueError, "sigma"),
        (lambda: filters.gaussian((3, 3), "1"), TypeError, "sigma"),
        (lambda: filters.gaussian((3, 3), 1j), TypeError, "sigma"),
        (lambda: filters.gaussian((3, 3), (1.0, 2.0, 3.0)), ValueError, "3 entries.*2 axes"),
        (lambda: filters.gaussian((3, 3), 1.0, "l2"), ValueError, "normalise is 'l2'.*'sum'"),
        (lambda: filters.dog((3, 3), 1.0, 0.0), ValueError, "sigma_surround"),
        (lambda: filters.dog((3, 3), None, 1.0), TypeError, "sigma_centre"),
        (lambda: filters.dog((3, 3), 1.0, 2.0, math.inf), ValueError, "amplitude_centre"),
        (lambda: filters.gabor((3, 3, 3), 2.0), ValueError, "rows, columns"),
        (lambda: filters.gabor((3,), 2.0), ValueError, "rows, columns"),
        (lambda: filters.gabor(3, 0.0), ValueError, "wavelength"),
        (lambda: filters.gabor(3, 2.0, aspect=0.0), ValueError, "aspect"),
        (lambda: filters.gabor(3, 2.0, sigma=-1.0), ValueError, "sigma"),
        (lambda: filters.gabor(3, 2.0, orientation=math.nan), ValueError, "orientation"),
        (lambda: filters.gabor(3, 2.0, normalise="sum"), ValueError, "'absolute', 'peak'"),
        (lambda: filters.gabor(1, 2.0), ValueError, "vanish"),
        (lambda: filters.gabor(1, 2.0, phase=math.pi / 2, balanced=False), ValueError, "vanish"),
        (lambda: filters.gabor_bank(5, []), ValueError, "wavelengths is empty"),
        (lambda: filters.gabor_bank(5, 3.0, 0), ValueError, "orientations"),
        (lambda: filters.gabor_bank(5, 3.0, 2.5), TypeError, "orientations"),
        (lambda: filters.gabor_bank(5, 3.0, 2, []), ValueError, "phases is empty"),
        (lambda: filters.gabor_bank_multiscale([3.0, -1.0]), ValueError, "wavelengths"),
        (lambda: filters.box((3, 0)), ValueError, "extent"),
        (lambda: filters.box(3, "density"), ValueError, "normalise"),
        (lambda: filters.laplacian(5), ValueError, "1 to 4"),
        (lambda: filters.laplacian(2.0), TypeError, "dimension"),
        (lambda: filters.sobel(2), ValueError, "axis is 2"),
        (lambda: filters.sobel(0.5), TypeError, "axis"),
        (lambda: filters.sobel(0, 0), ValueError, "1 to 4"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
