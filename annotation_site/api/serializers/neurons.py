"""Fields of neurons, tokens and the picture of a model."""

from rest_framework import serializers


class NeuronToken(serializers.Serializer):
    """A token at its rank, from 1, with its score and gloss."""

    rank = serializers.IntegerField(source="token.rank")
    display = serializers.CharField(source="token.display")
    score = serializers.FloatField(allow_null=True)
    gloss = serializers.CharField(source="token.gloss")


class NeuronStatistics(serializers.Serializer):
    """A bundle's numbers about a value vector."""

    norm = serializers.FloatField()
    kurtosis = serializers.FloatField(allow_null=True)
    skew = serializers.FloatField(allow_null=True)
    key_cosine = serializers.FloatField(allow_null=True)


class NeuronTrigger(serializers.Serializer):
    """A prefix that activates the key; `after` is null where the site lacks its sentence."""

    rank = serializers.IntegerField(source="entry.token.rank")
    before = serializers.CharField(source="entry.token.before")
    last_token = serializers.CharField(source="entry.token.display")
    after = serializers.CharField(allow_null=True)
    coefficient = serializers.FloatField(source="entry.score")
    copies = serializers.IntegerField()


class NeuronTriggers(serializers.Serializer):
    """The triggers of one side, best first."""

    is_negative = serializers.BooleanField()
    triggers = NeuronTrigger(many=True)


class NeuronNextToken(serializers.Serializer):
    """The token after the first trigger, by its rank among the value's top tokens."""

    rank = serializers.IntegerField(allow_null=True)
    is_known = serializers.BooleanField()


class NeuronAgreement(serializers.Serializer):
    """Agreement of key and value, over triggers with a text that goes on."""

    top = NeuronNextToken(allow_null=True)
    triggers = serializers.IntegerField()
    known = serializers.IntegerField()
    within = serializers.IntegerField()
    precision = serializers.FloatField(allow_null=True)


class NeuronSharedToken(serializers.Serializer):
    """A top token of both vectors."""

    token_id = serializers.IntegerField()
    display = serializers.CharField()


class NeuronSimilar(serializers.Serializer):
    """A value vector that shares most top tokens with the neuron's."""

    layer = serializers.IntegerField()
    index = serializers.IntegerField()
    shared = NeuronSharedToken(many=True)


class Neuron(serializers.Serializer):
    """A neuron's value and key, without annotations: lists of studies have those.

    `norm`, `statistics`, lists and `agreement` are null or empty where the extraction has none.
    """

    layer = serializers.IntegerField(source="neuron.layer")
    index = serializers.IntegerField(source="neuron.index")
    norm = serializers.FloatField(source="value.norm", allow_null=True)
    statistics = NeuronStatistics(source="value.statistics", allow_null=True)
    highest = NeuronToken(source="value.top", many=True)
    lowest = NeuronToken(source="value.bottom", many=True)
    similar = NeuronSimilar(source="value.similar", many=True)
    triggers = NeuronTriggers(source="key.sides", many=True)
    agreement = NeuronAgreement(allow_null=True)


class TokenSense(serializers.Serializer):
    """A sense of a token; the part of speech is empty where its source has none."""

    part = serializers.CharField(allow_blank=True)
    gloss = serializers.CharField()


class TokenVector(serializers.Serializer):
    """A value vector that holds the token at a rank, from 1."""

    layer = serializers.IntegerField()
    index = serializers.IntegerField()
    rank = serializers.IntegerField()
    score = serializers.FloatField(allow_null=True)


class TokenLayer(serializers.Serializer):
    """A layer: how many value vectors hold the token, and those in which it ranks best."""

    layer = serializers.IntegerField()
    count = serializers.IntegerField()
    best = TokenVector(many=True)


class TokenSide(serializers.Serializer):
    """One side of the lists; not `is_stored` where the extraction did not keep it."""

    is_stored = serializers.BooleanField()
    count = serializers.IntegerField()
    layers = TokenLayer(many=True)


class VocabularyToken(serializers.Serializer):
    """A token with the value vectors that promote it and those that push it down."""

    token_id = serializers.IntegerField(source="token.token_id")
    display = serializers.CharField(source="token.display")
    senses = TokenSense(many=True)
    highest = TokenSide()
    lowest = TokenSide()


class PictureShare(serializers.Serializer):
    """The share of a layer's top tokens in one category; empty for stopwords concepts."""

    category = serializers.CharField(source="band.name", allow_blank=True)
    share = serializers.FloatField()


class PictureLayer(serializers.Serializer):
    """A layer's lists with annotations; without any there is no coverage, which is not 0."""

    layer = serializers.IntegerField()
    lists = serializers.IntegerField()
    people = serializers.IntegerField()
    coverage = serializers.FloatField(allow_null=True)
    shares = PictureShare(source="pieces", many=True)


class PictureStudy(serializers.Serializer):
    """A study that the picture rests on."""

    title = serializers.CharField()
    made_up = serializers.BooleanField()
    is_finished = serializers.BooleanField()


class Picture(serializers.Serializer):
    """Shares of top tokens in people's concepts by layer; no layers where nothing counts yet."""

    lists = serializers.IntegerField()
    layers = PictureLayer(many=True)
    studies = PictureStudy(many=True)
