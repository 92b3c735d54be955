/**
 * Deraining in JavaScript: the exported model in ONNX Runtime, its state carried from frame to frame.
 *
 *   rainclear export d-daiam-rt -o derain.onnx --size 360x640
 *   npm install onnxruntime-node
 *   ffmpeg -i rain.mp4 -vf scale=640:360 -f rawvideo -pix_fmt rgb24 - \
 *     | node examples/onnx_node.mjs derain.onnx 640 360 \
 *     | ffplay -f rawvideo -pixel_format rgb24 -video_size 640x360 -
 *
 * With onnxruntime-web in place of onnxruntime-node the same calls run in a browser.
 */
import { stdin, stdout, argv, stderr } from "node:process";
import { InferenceSession, Tensor } from "onnxruntime-node";

const [model, width, height] = [argv[2], Number(argv[3]), Number(argv[4])];
const plane = width * height;

/** Bytes R G B R G B ... to a 1×3×H×W tensor in 0..1. */
function toTensor(bytes) {
  const values = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) values[c * plane + i] = bytes[3 * i + c] / 255;
  }
  return new Tensor("float32", values, [1, 3, height, width]);
}

/** The way back; the network does not clamp. */
function toBytes(tensor) {
  const bytes = Buffer.alloc(3 * plane);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) {
      bytes[3 * i + c] = Math.round(255 * Math.min(1, Math.max(0, tensor.data[c * plane + i])));
    }
  }
  return bytes;
}

/** Whole frames from a stream that comes in pieces. */
async function* frames(stream, size) {
  let held = Buffer.alloc(0);
  for await (const piece of stream) {
    held = Buffer.concat([held, piece]);
    for (; held.length >= size; held = held.subarray(size)) yield held.subarray(0, size);
  }
}

const session = await InferenceSession.create(model);
const { shape } = session.inputMetadata.find(({ name }) => name === "state_1");
const memory = [1, shape[1], height / 8, width / 8];
let state; // undefined at the start of a stream; make it so again after a cut
let count = 0;
for await (const bytes of frames(stdin, 3 * plane)) {
  const frame = toTensor(bytes);
  state ??= {
    state_0: frame,
    state_1: new Tensor("float32", new Float32Array(memory.reduce((a, b) => a * b)), memory),
  };
  const out = await session.run({ frame, ...state });
  state = { state_0: out.image, state_1: out.next_state_1 };
  if (!stdout.write(toBytes(out.image))) await new Promise((go) => stdout.once("drain", go));
  count++;
}
stderr.write(`${count} frames derained\n`);
