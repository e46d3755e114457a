/** Unpack the classifier and enable the page; the promise has the parts of the page. */
async function start() {
  const status = document.getElementById("status");
  try {
    const element = document.getElementById("model-data");
    const data = await inflate(decodeBase85(element.textContent, Number(element.dataset.bytes)));
    element.remove(); // frees its text
    const classifier = new Classifier(readModel(data));
    classifier.classify("");
    const parts = { classifier, textView: new TextView(classifier), tableView: new TableView(classifier) };
    status.textContent = "";
    return parts;
  } catch (error) {
    status.textContent = `The classifier cannot be loaded: ${error.message}.`;
    status.classList.add("problem");
    throw error;
  }
}

const started = start();
