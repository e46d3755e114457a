# %% [markdown]
# # From your own CSV to a classifier
#
# A file of labelled texts becomes a classifier of about one megabyte. This notebook takes the news briefs of the
# repository; put the name of your own file and of its two columns below. With 100 texts per class, training takes
# minutes on two cores. Nothing is downloaded.

# %% tags=["parameters"]
FILE = "../data/newsbriefs/train.csv"  # or .tsv, which pandas reads with sep="\t"
TEXT, LABEL = "text", "label"  # names of its columns
OUT = "own-csv"  # folder for everything that is written
ROWS = 500  # synthetic texts
GENERATOR = TEACHER = None  # the included models; or a folder, a hub id, or settings of docs/config.md

# %%
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split

from gendist import Classifier
from gendist.predict import TextClassifier

# %% [markdown]
# ## The data
#
# Look at the classes first: each needs at least a handful of texts, and rows without a text or a label have to go.

# %%
rows = pd.read_csv(FILE).dropna(subset=[TEXT, LABEL])
print(rows[LABEL].value_counts())
train, test = train_test_split(rows, test_size=0.2, stratify=rows[LABEL], random_state=0)

# %% [markdown]
# ## Training
#
# `fit` finetunes a generator and a teacher on the training rows, generates `ROWS` texts, and trains a small student on
# the teacher's scores. Its files stay in the folder `work_dir`: after an interrupt, the same call continues there.

# %%
out = Path(OUT)
out.mkdir(exist_ok=True)
classifier = Classifier(rows=ROWS, generator=GENERATOR, teacher=TEACHER, work_dir=out / "work")
classifier.fit(train[TEXT], train[LABEL], test=(test[TEXT], test[LABEL]))

# %% [markdown]
# ## How good is it?

# %%
print(classification_report(test[LABEL], classifier.predict(test[TEXT]), zero_division=0))

# %% [markdown]
# The test rows that it gets wrong with the highest probability often show wrong labels, or classes that overlap.

# %%
probabilities = classifier.predict_proba(test[TEXT])
checked = test.assign(predicted=classifier.classes_[probabilities.argmax(1)], probability=probabilities.max(1))
mistakes = checked[checked["predicted"] != checked[LABEL]].sort_values("probability", ascending=False)
print(mistakes.head(10).to_string())

# %% [markdown]
# Probabilities are calibrated. With a threshold, a person answers what the classifier is unsure of.

# %%
for threshold in (0.5, 0.7, 0.9):
    sure = checked[checked["probability"] >= threshold]
    correct = (sure["predicted"] == sure[LABEL]).mean() if len(sure) else float("nan")
    print(f"probability >= {threshold}: {len(sure) / len(checked):.0%} of the rows, {correct:.0%} of them correct")

# %% [markdown]
# ## Save and load
#
# The saved folder is all that a server needs. `TextClassifier` loads it with NumPy alone, without PyTorch.

# %%
model = out / "model"
classifier.save(model)
print({file.name: file.stat().st_size for file in sorted(model.iterdir())})

# %%
again = Classifier.from_pretrained(model)  # scikit-learn's interface
light = TextClassifier.load(model)  # the same model without scikit-learn
assert np.array_equal(again.predict_proba(test[TEXT]), probabilities)
print(light.predict(["the cup final went to penalties"]))

# %% [markdown]
# ## Label a file, and show the classifier in a browser
#
# `classifier.html` is one file without a server: type texts, or drop a CSV onto it.


# %%
def gendist(*arguments: object) -> None:
    """Run a command of gendist, as in a terminal."""
    subprocess.run(["gendist", *map(str, arguments)], check=True)


test.to_csv(out / "texts.csv", index=False)
gendist("predict", model, out / "texts.csv", "--text", TEXT, "--keep", LABEL, "-o", out / "labels.csv")
gendist("export", "--model", model, "--html", out / "classifier.html")
print(pd.read_csv(out / "labels.csv").head())

# %% [markdown]
# ## Next
#
# The quick training exports one student. For a whole study with a report (several students and seeds, baselines,
# figures), run `gendist init FILE`, then `gendist run`: docs/own-data.md.
