from django.db import migrations


class Migration(migrations.Migration):
    """Figures are files now; those of snapshots that are there are drawn when they are asked for."""

    dependencies = [("results", "0005_machine_annotators_in_filters")]

    operations = [migrations.DeleteModel("Figure")]
