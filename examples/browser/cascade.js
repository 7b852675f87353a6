// A bundle's cascade in the browser: what `selcn predict --engine onnx` does, on onnxruntime-web.
// `bundle` is what build.py embeds: config (of config.json), graphs (inputs with their shapes, outputs), between.

const UNDEFINED = "undefined, the lesion has no region to mirror";
const LESION_THRESHOLD = 0.5, GROWTH = 0.2, MIN_PROBABILITY = 1e-15;

// Half to even, as NumPy and OpenCV round.
function rint(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2 ? 1 : 0) : Math.round(value);
}

// Which pixels each of `to` new ones covers, and how much of them: area where the image shrinks, else bilinear.
function spread(from, to, area) {
  const step = from / to, found = [];
  for (let i = 0; i < to; i++) {
    const parts = [];
    if (area) {
      const start = i * step, end = Math.min((i + 1) * step, from);
      for (let j = Math.floor(start); j < end - 1e-9; j++) parts.push([j, (Math.min(end, j + 1) - Math.max(start, j)) / (end - start)]);
    } else {
      const at = Math.min(Math.max((i + 0.5) * step - 0.5, 0), from - 1), left = Math.min(Math.floor(at), from - 1);
      parts.push([left, 1 - (at - left)], [Math.min(left + 1, from - 1), at - left]);
    }
    found.push(parts);
  }
  return found;
}

// RGB bytes of an image {data: RGBA, width, height} at another size, as selcn's `resize`.
export function resize(image, width, height) {
  if (image.width === width && image.height === height) return image.data.filter((_, i) => i % 4 !== 3);
  const area = width < image.width || height < image.height;
  const columns = spread(image.width, width, area), rows = spread(image.height, height, area);
  const halves = image.width === 2 * width && image.height === 2 * height; // OpenCV rounds these upwards
  const out = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) {
    let sum = 0;
    for (const [row, weight] of rows[y]) for (const [column, share] of columns[x]) {
      sum += weight * share * image.data[(row * image.width + column) * 4 + c];
    }
    const value = Math.round(sum * 1e6) / 1e6; // what is half is half, whatever was added in which order
    out[(y * width + x) * 3 + c] = halves ? Math.floor(value + 0.5) : rint(value);
  }
  return out;
}

// Pixels of the largest 8-connected region of a mask, of equals the topmost; empty of an empty mask.
function largestRegion(mask, width, height) {
  const seen = new Uint8Array(mask.length);
  let largest = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || seen[start]) continue;
    const region = [start];
    seen[start] = 1;
    for (let next = 0; next < region.length; next++) {
      const x = region[next] % width, y = Math.floor(region[next] / width);
      for (let ny = Math.max(y - 1, 0); ny <= Math.min(y + 1, height - 1); ny++) {
        for (let nx = Math.max(x - 1, 0); nx <= Math.min(x + 1, width - 1); nx++) {
          const other = ny * width + nx;
          if (mask[other] && !seen[other]) { seen[other] = 1; region.push(other); }
        }
      }
    }
    if (region.length > largest.length) largest = region;
  }
  return largest;
}

// Lesion probability, p turned to 1 - p in all but the largest region of the mask.
export function withoutIslands(lesion, width, height) {
  const kept = new Set(largestRegion(lesion.map((p) => +(p > LESION_THRESHOLD)), width, height));
  return lesion.map((p, at) => (p > LESION_THRESHOLD && !kept.has(at) ? 1 - p : p));
}

// x, y, width and height of the box around a mask's largest region, grown on every side; all where there is none.
export function grownBox(mask, width, height) {
  const region = largestRegion(mask, width, height);
  if (!region.length) return [0, 0, width, height];
  const extent = (values, length) => {
    const first = values.reduce((a, b) => Math.min(a, b)), end = values.reduce((a, b) => Math.max(a, b)) + 1;
    const margin = rint((end - first) * GROWTH);
    return [Math.max(first - margin, 0), Math.min(end + margin, length)];
  };
  const [left, right] = extent(region.map((at) => at % width), width);
  const [top, bottom] = extent(region.map((at) => Math.floor(at / width)), height);
  return [left, top, right - left, bottom - top];
}

// What the masking `lae` leaves visible of one mask, as 0 and 1.
function visible(mask, width, height) {
  const [x, y, w, h] = grownBox(mask, width, height);
  return Float32Array.from(mask, (_, at) => {
    const column = at % width, row = Math.floor(at / width);
    return +(column >= x && column < x + w && row >= y && row < y + h);
  });
}

function greys(rgb) {
  return Uint8Array.from({length: rgb.length / 3}, (_, i) => (rgb[3 * i] * 9798 + rgb[3 * i + 1] * 19235 + rgb[3 * i + 2] * 3735 + 16384) >> 15);
}

// ln(variance of the Laplacian + 0.001) and mean grey level of a prepared image.
export function lookOf(rgb, width, height) {
  const grey = greys(rgb), inside = (i, length) => (i < 0 ? -i : i >= length ? 2 * length - 2 - i : i);
  const at = (x, y) => grey[inside(y, height) * width + inside(x, width)];
  let sum = 0, squares = 0, level = 0;
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const value = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4 * at(x, y);
    sum += value; squares += value * value; level += at(x, y);
  }
  const count = width * height;
  return {sharpness: Math.log(squares / count - (sum / count) ** 2 + 1e-3), brightness: level / count / 255};
}

// Calibrated probabilities: all logits divided by the temperature, then each class' bias added.
function rescale(probabilities, {temperature, bias}) {
  const logits = probabilities.map((p, i) => Math.log(Math.max(p, MIN_PROBABILITY)) / temperature + (bias[i] ?? 0));
  const top = Math.max(...logits), powers = logits.map((one) => Math.exp(one - top)), sum = powers.reduce((a, b) => a + b);
  return powers.map((one) => one / sum);
}

export class Cascade {
  constructor(ort, bundle, sessions) {
    Object.assign(this, {ort, bundle, sessions, config: bundle.config});
  }

  static async load(ort, bundle, graphs) {
    ort.env.wasm.numThreads = 1; // more need headers that a page without a server has not
    const sessions = [];
    for (const graph of graphs) sessions.push(await ort.InferenceSession.create(graph, {executionProviders: ["wasm"]}));
    return new Cascade(ort, bundle, sessions);
  }

  // The prediction of an image {data: RGBA, width, height}: networks, abstain, warnings, lesion and saliency maps.
  async predict(image) {
    const {config} = this, [width, height] = config.prepare.size;
    const rgb = Uint8Array.from(resize(image, width, height));
    const outputs = await this.run(rgb, width, height);
    const networks = {};
    for (const [name, {classes}] of Object.entries(this.bundle.classifiers)) {
      const measured = config.reliability?.networks[name], raw = Array.from(outputs[name].data);
      const values = measured ? rescale(raw, measured) : raw;
      const probabilities = Object.fromEntries(classes.map((one, i) => [one, values[i]]));
      const prediction = values.some(Number.isNaN) ? "undefined" : classes[raw.indexOf(Math.max(...raw))];
      networks[name] = {probabilities, prediction, saliency: outputs[`${name}_saliency`]};
    }
    const distance = outputs.distance.data[0], lesion = outputs.lesion?.data, target = config.target;
    const measured = config.reliability?.networks[target];
    const confidence = networks[target].probabilities[networks[target].prediction];
    return {
      target, networks, distance, size: [width, height], lesion,
      abstain: networks[target].prediction === "undefined" || Boolean(measured && confidence < measured.abstain_below),
      warnings: [
        ...this.warnings(rgb, width, height, distance, lesion, measured),
        ...Object.keys(networks).filter((name) => networks[name].prediction === "undefined").map((name) => `${name} ${UNDEFINED}`),
      ],
    };
  }

  warnings(rgb, width, height, distance, lesion, measured) {
    if (!this.config.reliability) return [];
    const {sharpness, brightness} = lookOf(rgb, width, height), usual = this.config.reliability.image;
    const found = {
      "no lesion found": lesion && !lesion.some((p) => p > LESION_THRESHOLD),
      "blurred": sharpness < usual.sharpness,
      "noisier or sharper than the training images": usual.sharpest !== null && sharpness > usual.sharpest,
      "darker or brighter than the training images": brightness < usual.brightness[0] || brightness > usual.brightness[1],
      "unlike the training images": measured && distance > measured.distance,
    };
    return Object.keys(found).filter((name) => found[name]);
  }

  async run(rgb, width, height) {
    const {Tensor} = this.ort, {graphs, between, largest} = this.bundle, last = graphs.length - 1;
    const images = new Tensor("uint8", rgb, [1, height, width, 3]), feeds = {images};
    for (const {name, type, shape} of graphs[last].inputs.filter((one) => one.name.startsWith("given_"))) {
      const absent = name === "given_metadata" ? 0 : -1, size = shape.reduce((a, b) => a * b, 1);
      feeds[name] = type === "int64" ? new Tensor("int64", new BigInt64Array(size).fill(BigInt(absent)), [1, ...shape])
        : new Tensor("float32", new Float32Array(size).fill(absent), [1, ...shape]);
    }
    if (last) {
      const [{data, dims}] = Object.values(await this.sessions[0].run({images})), pixels = width * height;
      const lesions = Float32Array.from(data), members = Array.from({length: dims[1]}, (_, i) => lesions.subarray(i * pixels, (i + 1) * pixels));
      if (largest) for (const own of members) own.set(withoutIslands(own, width, height));
      feeds.lesions = new Tensor("float32", lesions, dims);
      for (const name of between) {
        const regions = new Float32Array(lesions.length);
        members.forEach((own, i) => regions.set(visible(Uint8Array.from(own, (p) => +(p > LESION_THRESHOLD)), width, height), i * pixels));
        feeds[`visible_${name}`] = new Tensor("float32", regions, dims);
      }
    }
    const taken = new Set(graphs[last].inputs.map((one) => one.name));
    for (const name of Object.keys(feeds)) if (!taken.has(name)) delete feeds[name];
    const values = await this.sessions[last].run(feeds);
    return Object.fromEntries(graphs[last].outputs.map((name, i) => [this.bundle.names[i], values[name]]));
  }
}
