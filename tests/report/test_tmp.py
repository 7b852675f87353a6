from pathlib import Path
import shutil
def test_x(pages, bare_run, lesion_run, symmetry_run, four_run):
    from selcn.report import write_report
    write_report(bare_run, Path("/tmp/shots/bare.html"))
    for name, path in pages.items(): shutil.copy(path, f"/tmp/shots/{name}.html")
    for r in (lesion_run, symmetry_run, four_run):
        shutil.rmtree(f"/tmp/shots/run-{r.name}", ignore_errors=True); shutil.copytree(r, f"/tmp/shots/run-{r.name}")
