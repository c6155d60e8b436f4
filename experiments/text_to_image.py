"""Text to image (Reed, Akata, Yan, Logeswaran, Schiele & Lee 2016): GAN-CLS and GAN-INT, with a learned text encoder.

A text encoder f(t), a GRU over words, and an image encoder f(x) are trained first, for --matching-steps, until images
match their own captions better than other captions. Then the text encoder is kept fixed, and a DCGAN is trained on
pairs of an image and an embedded caption h = f(t). B is the batch size, t' a wrong caption and h' its embedding:

    matching         (1/B) sum_m max(0, 1 + f(x_n).f(t_m) - f(x_n).f(t_n)), and the same with images and captions
                     exchanged, and for wrong captions max(0, 1 + f(x_n).f(t'_n) - f(x_n).f(t_n))
    discriminator    -log D(x, h) - (log(1 - D(x, h')) + log(1 - D(G(z, h), h))) / 2
                     - log(1 - D(G(z, h''), h'')) / 2,   h'' halfway between two captions (GAN-INT)
    generator        -log D(G(z, h), h) - log D(G(z, h''), h'')   (GAN-INT, eq. 5)
                     + --matching-weight times the matching loss of generated images and their captions
    style            |z - S(G(z, h))|^2 (eq. 6)

The losses are `structured_joint_loss` in genjax/losses/matching.py and `matching_aware_discriminator_loss` in
genjax/losses/adversarial.py; the phases are in genjax/models/adversarial/text_to_image.py.

**Data.** Captioned scenes are composed of real digits (genjax/data/scenes.py): one or two digits, each in one of five
colours, two sizes and five positions, described by a small grammar with synonyms. The scenes of `quick` have one
digit, which is larger. Ten pairs of a digit and a colour are held out: no training caption has them. --dataset takes
any set of grey, square digits with labels, or a folder of images with captions in text files (a.txt for a.png, one
caption per line).

    python -m experiments.text_to_image                                              scenes of the embedded digits
    python -m experiments.text_to_image --preset small --data-dir DIR                scenes of MNIST, 24x24
    python -m genjax sample RUN --text "a small red seven on the left"

`sample` warns of words that no training caption has, and needs at least one known word in the text.

**Metrics.** A classifier that was trained on real scenes with all pairs of digits and colours
(genjax/measures/scene_classifier.py) recognizes the objects in generated scenes. `digit_accuracy`, `colour_accuracy`,
`size_accuracy` and `place_accuracy` are the fractions of scenes in which it finds the values that the caption names
(place: the position), and `scene_accuracy` is the fraction in which it finds all of them. `real_...` is the accuracy on
real scenes, an upper limit, `zero_shot_...` the accuracy for captions of the held-out pairs, and `chance_...` in
result.json the accuracy for unrelated captions. `matching_auroc` and `pair_auroc` are areas under the ROC curve: how
well f(x).f(t) and the logit of the discriminator tell an image's own caption from another caption. `matching_score` and
`pair_logit` are the means of these two scores for real images, `fake_...` for generated images.

**Why digits follow the caption.** The discriminator alone hardly recognizes a caption in which only the digit is wrong,
and with the paper's losses generated digits rarely follow the caption. The encoders do learn digits, last of all
attributes, if they are trained long enough. In `quick` and `small` the generator therefore also minimizes the encoders'
matching loss of its own images, as the generator of AttnGAN does (Xu et al. 2018); --matching-weight 0 gives the
paper's losses.

**Differences from the paper.** The text encoder is a GRU over words and is trained in the run; the paper's is a
convolutional network over characters, trained before. A wrong caption describes a scene that differs in one attribute
(genjax/data/scenes.py), where the paper takes a caption of another class of birds or flowers: colours and positions are
nearly always enough to reject the caption of any other scene, and the digit is not learned. In a folder of images the
wrong caption is the caption of the previous image. `quick` and `small` have no captions halfway between two (GAN-CLS),
and train the style encoder in the last steps only. Batch normalization treats real, wrong and generated pairs as
separate batches, and samples are drawn with running statistics. The data are scenes of digits, the paper's are
photographs of birds and flowers.

**Known failures.** In scenes with two digits often neither is legible, their colours mix, and attributes of one digit
appear on the other. Scenes of the held-out pairs have one digit only, so that colours and positions follow more often
there. There are specks of colour around digits. Images of one caption are nearly all the same: the matching loss does
not ask for variety, so the noise has little effect, and the figure of styles shows no style that is carried over from
one image to another.
"""

from dataclasses import dataclass, field

import optax

from experiments.parts.adversarial import adam, check_fractions, check_not_negative, with_average_and_history
from experiments.parts.captioned import Captioned, Scenes, load
from experiments.parts.text_to_image_scenes import COLUMNS, chances, make_figures, make_measure
from genjax.capabilities import Captioner
from genjax.data.captions import encode
from genjax.models.adversarial import text_to_image as model_of
from genjax.models.adversarial.text_to_image_networks import Networks, conv_networks
from genjax.pictures.figures import first_test_batch
from genjax.runs.experiment import Baseline, Experiment, Reference
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main


@dataclass(frozen=True)
class Options:
    """Options of a GAN of images and their captions."""

    data: Data = Data(binarization="none")
    run: Run = Run(batch_size=64)
    scenes: Scenes = field(default=Scenes())
    """Options that compose the scenes."""
    matching_steps: int = 2000
    """Number of training steps of the text and image encoders, before the other networks are trained."""
    matching_weight: float = 0.0
    """Weight of the matching loss of generated images in the generator's loss."""
    interpolation: float = 1.0
    """Weight of the losses for embeddings halfway between two captions (GAN-INT); 0 for none (GAN-CLS)."""
    style_steps: int | None = None
    """Number of last steps in which the style encoder is trained; by default all steps after --matching-steps."""
    average: float = 0.0
    """Decay of the moving average of the generator's weights from which samples are drawn; 0 for no average."""
    filters: int = 64
    """Channels of the discriminator's first convolution. Each later one has twice as many as the one before; the
    generator has the same numbers in reverse order."""
    features: int = 1024
    """Number of dimensions of the embeddings of captions and images."""
    text_features: int = 128
    """Number of dimensions to which generator and discriminator project an embedded caption."""
    latents: int = 100
    """Number of dimensions of the noise."""
    hidden: int = 512
    """Number of hidden units of the text encoder's GRU."""
    matching_learning_rate: float = 1e-3
    """Learning rate of the encoders' Adam optimizer at the start of its cosine decay to 0."""
    learning_rate: float = 2e-4
    """Learning rate of the Adam optimizers of the generator and of the style encoder."""
    discriminator_learning_rate: float = 2e-4
    """Learning rate of the discriminator's Adam optimizer."""
    classifier_steps: int = 2000
    """Number of training steps of the classifier that reads the generated scenes for the accuracies; without effect for
    a folder of captioned images."""


PRESETS = {
    "quick": Options(
        Data(binarization="none"),
        Run(steps=4000, batch_size=32, evaluate_every=1000),
        Scenes(side=12, copies=4, pairs=0.0, digit_sizes=(2 / 3, 5 / 6)),
        matching_steps=1800,
        matching_weight=2.0,
        matching_learning_rate=5e-3,
        interpolation=0.0,
        style_steps=200,
        average=0.99,
        learning_rate=1e-3,
        discriminator_learning_rate=5e-4,
        filters=32,
        features=64,
        text_features=128,
        latents=32,
        hidden=64,
        classifier_steps=600,
    ),
    "small": Options(
        Data(dataset="mnist", binarization="none"),
        Run(steps=11_000, batch_size=64, evaluate_every=2000),
        Scenes(side=24),
        matching_steps=5000,
        matching_weight=3.0,
        interpolation=0.0,
        style_steps=1000,
        learning_rate=5e-4,
        discriminator_learning_rate=5e-4,
        filters=32,
        features=128,
        text_features=256,
        latents=64,
        hidden=128,
    ),
    "paper": Options(
        Data(dataset="mnist", binarization="none"),
        Run(steps=500_000, batch_size=64, evaluate_every=10_000),
        Scenes(side=64),
        matching_steps=50_000,
    ),
}


def text_to_image(options: Options) -> Experiment:
    """Return the experiment: a GAN of images and their captions."""
    check(options)
    found = load(options.data, options.scenes)
    data, steps, style_steps = found.data, options.run.steps, options.style_steps
    networks = networks_of(options, found)
    model = model_of.text_to_image(
        data.image_shape,
        networks,
        optimizers=make_optimizers(options),
        matching_steps=options.matching_steps,
        matching_weight=options.matching_weight,
        interpolation=options.interpolation,
        style_start=None if style_steps is None else steps - style_steps,
    )
    model = with_average_and_history(model, first_test_batch(data, COLUMNS), average=options.average, steps=steps)
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(model, networks, found),
        measure=make_measure(model, networks, found, classifier_steps=options.classifier_steps),
        facts=chances(found),
        capabilities=(Captioner(lambda text: encode([text], found.vocabulary)[0]),),
    )


def check(options: Options) -> None:
    """Raise ValueError where an option is out of range, images would become binary, or a phase has no steps."""
    check_positive(
        filters=options.filters,
        features=options.features,
        text_features=options.text_features,
        latents=options.latents,
        hidden=options.hidden,
        classifier_steps=options.classifier_steps,
        matching_learning_rate=options.matching_learning_rate,
        learning_rate=options.learning_rate,
        discriminator_learning_rate=options.discriminator_learning_rate,
    )
    check_fractions(average=options.average)
    check_not_negative(matching_weight=options.matching_weight, interpolation=options.interpolation)
    binarization, batch_size, steps = options.data.binarization, options.run.batch_size, options.run.steps
    if binarization != "none":
        raise ValueError(f"--binarization {binarization}: captioned images are in colour; use --binarization none")
    if batch_size < 2:
        raise ValueError(f"--batch-size {batch_size}: captions are compared with those of other images; take more")
    if not 1 <= options.matching_steps < steps:
        raise ValueError(f"--matching-steps {options.matching_steps} must be from 1 to --steps {steps} less 1")
    most = steps - options.matching_steps
    if options.style_steps is not None and not 0 < options.style_steps <= most:
        raise ValueError(
            f"--style-steps {options.style_steps} must be from 1 to {most}, the steps after --matching-steps"
        )


def networks_of(options: Options, found: Captioned) -> Networks:
    """Return the networks for these images; ValueError where the architecture cannot reach their size."""
    try:
        return conv_networks(
            found.data.image_shape,
            found.vocabulary.size,
            filters=options.filters,
            features=options.features,
            text_features=options.text_features,
            latents=options.latents,
            hidden=options.hidden,
        )
    except ValueError as error:
        is_scene = found.held_out is not None
        given = f"--side {options.scenes.side}" if is_scene else f"--dataset {options.data.dataset}"
        raise ValueError(f"{given}: {error}") from error


def make_optimizers(options: Options) -> model_of.Optimizers:
    """Return the optimizers of all phases."""
    return model_of.Optimizers(
        matching=optax.adam(optax.cosine_decay_schedule(options.matching_learning_rate, options.matching_steps)),
        discriminator=adam(options.discriminator_learning_rate),
        generator=adam(options.learning_rate),
        style=adam(options.learning_rate),
    )


REFERENCES: tuple[Reference, ...] = ()

BASELINES = tuple(
    Baseline(f"{name}_accuracy", f"{measured}_{name}_accuracy", description)
    for name in ("digit", "colour", "size", "place", "scene")
    for measured, description in (
        ("real", "real scenes, the ceiling"),
        ("zero_shot", "captions of pairs that were held out"),
    )
)
HEADLINE = "scene_accuracy"

if __name__ == "__main__":
    main(text_to_image, PRESETS)
