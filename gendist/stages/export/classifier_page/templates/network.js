/** Number of outputs and a function from inputs to outputs, for a dense layer; the function adds to `sums`. */
function denseLayer(arrays, name) {
  const weights = dequantize(arrays, name), [outputs, inputs] = arrays[name].shape;
  const bias = arrays[`${name}.bias`] ? arrays[`${name}.bias`].data : new Float32Array(outputs);
  return (x, isRectified) => {
    const y = new Float64Array(outputs);
    for (let o = 0; o < outputs; o++) {
      let sum = bias[o];
      for (let i = 0, at = o * inputs; i < inputs; i++, at++) sum += weights[at] * x[i];
      y[o] = isRectified && sum < 0 ? 0 : sum;
    }
    return y;
  };
}

/** A convolution over a text, padded with zeros to equal length, with ReLU: arrays of vectors to the same. */
function convolutionLayer(arrays, name) {
  const source = dequantize(arrays, name), [outputs, inputs, width] = arrays[name].shape;
  const bias = arrays[`${name}.bias`] ? arrays[`${name}.bias`].data : new Float32Array(outputs);
  const weights = new Float32Array(source.length); // (outputs, width, inputs)
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++)
      for (let p = 0; p < width; p++) weights[(o * width + p) * inputs + i] = source[(o * inputs + i) * width + p];
  const left = width >> 1;
  return (vectors) => vectors.map((_, t) => {
    const y = new Float32Array(outputs);
    for (let o = 0; o < outputs; o++) {
      let sum = bias[o];
      for (let p = Math.max(0, left - t); p < width && t + p - left < vectors.length; p++) {
        const x = vectors[t + p - left];
        for (let i = 0, at = (o * width + p) * inputs; i < inputs; i++, at++) sum += weights[at] * x[i];
      }
      y[o] = sum < 0 ? 0 : sum;
    }
    return y;
  });
}

/** An LSTM (ONNX gate order: input, output, forget, cell): an array of vectors to the last state. */
function lstmLayer(arrays, name) {
  const input = dequantize(arrays, name), recurrent = dequantize(arrays, `${name}.recurrent`);
  const [gates, width] = arrays[name].shape, units = gates / 4;
  const bias = arrays[`${name}.bias`] ? arrays[`${name}.bias`].data : new Float32Array(2 * gates);
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  return (vectors) => {
    let state = new Float64Array(units);
    const cell = new Float64Array(units), sums = new Float64Array(gates);
    for (const x of vectors) {
      for (let g = 0; g < gates; g++) {
        let sum = bias[g] + bias[gates + g];
        for (let i = 0, at = g * width; i < width; i++, at++) sum += input[at] * x[i];
        for (let i = 0, at = g * units; i < units; i++, at++) sum += recurrent[at] * state[i];
        sums[g] = sum;
      }
      state = new Float64Array(units);
      for (let u = 0; u < units; u++) {
        cell[u] = sigmoid(sums[2 * units + u]) * cell[u] + sigmoid(sums[u]) * Math.tanh(sums[3 * units + u]);
        state[u] = sigmoid(sums[units + u]) * Math.tanh(cell[u]);
      }
    }
    return state;
  };
}

/** A function from piece ids to embeddings. */
function embeddingLayer(arrays) {
  const { data, shape } = arrays.embedding, scale = arrays["embedding.scale"];
  return (ids) => ids.map((id) => {
    const vector = Float32Array.from(data.subarray(id * shape[1], (id + 1) * shape[1]));
    return scale ? vector.map((value) => value * scale.data[id]) : vector;
  });
}

function meanVector(vectors) {
  const mean = new Float64Array(vectors[0].length);
  for (const vector of vectors) for (let i = 0; i < mean.length; i++) mean[i] += vector[i] / vectors.length;
  return mean;
}

function maxVector(vectors) {
  const largest = Float64Array.from(vectors[0]);
  for (const vector of vectors) for (let i = 0; i < largest.length; i++) if (vector[i] > largest[i]) largest[i] = vector[i];
  return largest;
}

/** Kim's network with look-up tables, whose rows are computed when a piece first occurs: ids to logits. */
function kimNetwork(arrays) {
  const embed = embeddingLayer(arrays), scale = arrays.sum_scale.data;
  const classify = denseLayer(arrays, "classifier");
  const widths = Object.keys(arrays).map((name) => /^filters\.(\d+)$/.exec(name)).filter(Boolean)
    .map((match) => Number(match[1])).sort((a, b) => a - b);
  const groups = [];
  let features = 0, terms = 0;
  for (const width of widths) {
    const [filters, inputs] = arrays[`filters.${width}`].shape;
    const bias = arrays[`filters.${width}.bias`].data, weights = dequantize(arrays, `filters.${width}`);
    groups.push({ width, filters, inputs, bias, weights, feature: features, term: terms });
    features += filters;
    terms += filters * width;
  }
  const starts = arrays.bucket_starts.data, biases = arrays.bucket_biases.data; // of windows, by their first piece
  const inputs = arrays.classifier.shape[1]; // further inputs: the sum of the embeddings over the root of their number
  const rows = new Map();

  /** Terms of a piece in the sum of each filter, by width, position and filter; int16 as in Python. */
  function tableRow(id) {
    const [vector] = embed([id]), row = new Int16Array(terms);
    for (const { width, filters, inputs, weights, feature, term } of groups)
      for (let f = 0; f < filters; f++)
        for (let p = 0; p < width; p++) {
          let sum = 0;
          for (let i = 0, at = f * inputs * width + p; i < inputs; i++, at += width) sum += weights[at] * vector[i];
          row[term + p * filters + f] = Math.round(sum * scale[feature + f]);
        }
    rows.set(id, row);
    return row;
  }

  return (ids) => {
    const table = ids.map((id) => rows.get(id) ?? tableRow(id));
    const pooled = new Float64Array(inputs);
    if (inputs > features)
      for (const vector of embed(ids))
        for (let i = 0; i < vector.length; i++) pooled[features + i] += vector[i] / Math.sqrt(ids.length);
    for (const { width, filters, bias, feature, term } of groups) {
      const largest = new Int16Array(filters).fill(-32768), sums = new Int16Array(filters);
      for (let start = 0, bucket = 0; start < table.length; start++) {
        while (start >= starts[bucket + 1]) bucket++;
        for (let f = 0; f < filters; f++) sums[f] = biases[bucket * features + feature + f];
        for (let p = 0; p < width && start + p < table.length; p++) {
          const row = table[start + p];
          for (let f = 0, at = term + p * filters; f < filters; f++, at++) sums[f] += row[at];
        }
        for (let f = 0; f < filters; f++) if (sums[f] > largest[f]) largest[f] = sums[f];
      }
      for (let f = 0; f < filters; f++) pooled[feature + f] = Math.max(0, largest[f] / scale[feature + f] + bias[f]);
    }
    return classify(pooled);
  };
}

/** Build the network of an architecture: a function from piece ids to logits. */
function buildNetwork(architecture, arrays) {
  if (architecture === "kim") return kimNetwork(arrays);
  const embed = embeddingLayer(arrays);
  const layers = (kind, build) => {
    const found = [];
    while (arrays[`${kind}.${found.length}`]) found.push(build(arrays, `${kind}.${found.length}`));
    return found;
  };
  const dense = layers("gemm", denseLayer), convolutions = layers("conv", convolutionLayer);
  const lstms = layers("lstm", lstmLayer);
  const networks = {
    bag: (ids) => dense[1](dense[0](meanVector(embed(ids)), true)),
    bilstm: (ids) => {
      const vectors = embed(ids);
      return dense[1](dense[0]([...lstms[0](vectors), ...lstms[1](vectors.toReversed())], true));
    },
    blend: (ids) => {
      let vectors = embed(ids);
      const pooled = [];
      for (const convolution of convolutions) {
        vectors = convolution(vectors);
        pooled.push(...maxVector(vectors));
      }
      return dense[1](dense[0](pooled, true));
    },
    res: (ids) => {
      let vectors = embed(ids);
      for (const convolution of convolutions) {
        const added = convolution(vectors);
        vectors = vectors.map((vector, t) => vector.map((value, i) => value + added[t][i]));
      }
      return dense[0](meanVector(vectors));
    },
  };
  return networks[architecture];
}
