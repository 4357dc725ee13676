"""Addresses of the API."""

from django.urls import path, re_path

from annotation_site.api.views import contents, corpus, files, lists, people, results, site, studies
from annotation_site.api.views import monitoring as running

app_name = "api"
STUDY = "studies/<slug:slug>"
PERSON = f"{STUDY}/people/<uuid:public_id>"
EXTRACTION = "extractions/<uuid:public_id>"
EXPORT = f"{STUDY}/exports/<uuid:public_id>"
urlpatterns = [
    path("lists/<uuid:public_id>", lists.ListView.as_view(), name="list"),
    path("lists/<uuid:public_id>/draft", lists.DraftView.as_view(), name="draft"),
    path("lists/<uuid:public_id>/submit", lists.SubmitView.as_view(), name="submit"),
    path("lists/<uuid:public_id>/skip", lists.SkipView.as_view(), name="skip"),
    path("lists/<uuid:public_id>/feedback", lists.FeedbackView.as_view(), name="feedback"),
    path("work", lists.WorkView.as_view(), name="work"),
    path("work/<slug:slug>", lists.WorkDetailView.as_view(), name="work_detail"),
    path("work/<slug:slug>/consent", lists.ConsentView.as_view(), name="consent"),
    path("work/<slug:slug>/next", lists.NextView.as_view(), name="next"),
    path("work/<slug:slug>/lists", lists.OwnListsView.as_view(), name="own_lists"),
    path("hours", lists.HoursView.as_view(), name="hours"),
    path("hours.<slug:extension>", lists.HoursFileView.as_view(), name="hours_file"),
    path("me", people.MeView.as_view(), name="me"),
    path("tokens", people.TokensView.as_view(), name="tokens"),
    path("tokens/<uuid:public_id>", people.TokenView.as_view(), name="token"),
    path("annotators", people.AnnotatorsView.as_view(), name="annotators"),
    path("people", people.PeopleView.as_view(), name="people"),
    path("people/<uuid:public_id>", people.PersonView.as_view(), name="person"),
    path("people/<uuid:public_id>/role", people.RoleView.as_view(), name="role"),
    path("people/<uuid:public_id>/access", people.AccessView.as_view(), name="access"),
    path("people/<uuid:public_id>/erase", people.EraseView.as_view(), name="erase"),
    path("invitations", people.InvitationsView.as_view(), name="invitations"),
    path("invitations/<uuid:public_id>", people.InvitationView.as_view(), name="invitation"),
    path("log", people.LogView.as_view(), name="log"),
    path("models", corpus.ModelsView.as_view(), name="models"),
    path("extractions", corpus.ExtractionsView.as_view(), name="extractions"),
    path("extractions/upload", corpus.UploadView.as_view(), name="upload"),
    path("estimates", corpus.EstimatesView.as_view(), name="estimates"),
    path("workers", corpus.WorkersView.as_view(), name="workers"),
    path(EXTRACTION, corpus.ExtractionView.as_view(), name="extraction"),
    path(f"{EXTRACTION}/cancel", corpus.CancelView.as_view(), name="cancel"),
    path(f"{EXTRACTION}/retry", corpus.RetryView.as_view(), name="retry"),
    path(f"{EXTRACTION}/log", corpus.ExtractionLogView.as_view(), name="extraction_log"),
    path(f"{EXTRACTION}/manifest", corpus.ManifestView.as_view(), name="manifest"),
    path(f"{EXTRACTION}/vectors", corpus.VectorsView.as_view(), name="vectors"),
    path("previews", studies.PreviewsView.as_view(), name="previews"),
    path("studies", studies.StudiesView.as_view(), name="studies"),
    path(STUDY, studies.StudyView.as_view(), name="study"),
    path(f"{STUDY}/state", studies.StateView.as_view(), name="state"),
    path(f"{STUDY}/extend", studies.ExtendView.as_view(), name="extend"),
    path(f"{STUDY}/duplicate", studies.DuplicateView.as_view(), name="duplicate"),
    path(f"{STUDY}/texts", studies.TextsView.as_view(), name="texts"),
    path(f"{STUDY}/people", contents.StudyPeopleView.as_view(), name="study_people"),
    path(PERSON, contents.StudyPersonView.as_view(), name="study_person"),
    path(f"{PERSON}/release", contents.ReleaseView.as_view(), name="release"),
    path(f"{PERSON}/let-in", running.LetInView.as_view(), name="let_in"),
    path(f"{STUDY}/progress", running.ProgressView.as_view(), name="progress"),
    path(f"{STUDY}/flags", running.FlagsView.as_view(), name="flags"),
    path(f"{STUDY}/lists", running.StudyListsView.as_view(), name="study_lists"),
    path(f"{STUDY}/references", running.ReferencesView.as_view(), name="references"),
    path(f"{STUDY}/adjudication", running.AdjudicationView.as_view(), name="adjudication"),
    path(f"{STUDY}/items/<int:item>/final", running.FinalView.as_view(), name="final"),
    path(f"{STUDY}/gold.<slug:extension>", running.GoldView.as_view(), name="gold"),
    path(f"{STUDY}/items", contents.ItemsView.as_view(), name="items"),
    path(f"{STUDY}/assignments", contents.AssignmentsView.as_view(), name="assignments"),
    path(f"{STUDY}/annotations", contents.AnnotationsView.as_view(), name="annotations"),
    path(f"{STUDY}/results", results.ResultsView.as_view(), name="results"),
    path(f"{STUDY}/results/retry", results.RetryResultsView.as_view(), name="retry_results"),
    path(f"{STUDY}/snapshots", results.SnapshotsView.as_view(), name="snapshots"),
    path(f"{STUDY}/snapshots/<int:snapshot>", results.SnapshotView.as_view(), name="snapshot"),
    path(f"{STUDY}/figures", files.FiguresView.as_view(), name="figures"),
    path(
        f"{STUDY}/figures/<slug:name>.<slug:extension>", files.FigureView.as_view(), name="figure"
    ),
    path(f"{STUDY}/exports", files.ExportsView.as_view(), name="exports"),
    path(EXPORT, files.ExportStateView.as_view(), name="export_state"),
    path(f"{EXPORT}/file", files.ExportFileView.as_view(), name="export_file"),
    path(f"{STUDY}/tables/<slug:table>", results.TableView.as_view(), name="table"),
    path(
        f"{STUDY}/exports/<slug:table>.<slug:extension>",
        results.ExportView.as_view(),
        name="export",
    ),
    path("schema/", site.SchemaView.as_view(), name="schema"),
    # Also what has a line break in it, which "path:" does not match.
    re_path(r"^(?P<rest>[\s\S]*)$", site.NowhereView.as_view(), name="nowhere"),
]
