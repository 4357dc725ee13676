"""Fields of neurons."""

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
    triggers = NeuronTriggers(source="key.sides", many=True)
    agreement = NeuronAgreement(allow_null=True)
