// The sums of the measuring pass: Latent Scaling along both decoder directions, and the fit, row by row, in f64.
//
// Equations: src/measure/latent-scaling.ts. Only latents that fired are touched: a row's entries decode it once, then each
// entry takes its inner products with the activations and with the reconstruction while its decoder row is in cache.

// Row classes: bits 0 and 1 of a row's flag. Only ordinary rows enter the latents' sums.
const ORDINARY: u32 = 0;
const CLASS_MASK: u32 = 3;
const ON_TEMPLATE: u32 = 4;

// @ts-ignore: decorator
@inline
function sumLanes(a: v128): f64 {
  return f64x2.extract_lane(a, 0) + f64x2.extract_lane(a, 1);
}

// <f32 row, f64 target> over n columns.
function inner(direction: usize, target: usize, n: u32): f64 {
  let sum2 = f64x2.splat(0);
  const end2 = n & ~1;
  let c: u32 = 0;
  for (; c < end2; c += 2) {
    const d = f64x2.promote_low_f32x4(v128.load64_zero(direction + (<usize>c << 2)));
    sum2 = f64x2.add(sum2, f64x2.mul(d, v128.load(target + (<usize>c << 3))));
  }
  let sum = sumLanes(sum2);
  for (; c < n; c += 1) sum += <f64>load<f32>(direction + (<usize>c << 2)) * load<f64>(target + (<usize>c << 3));
  return sum;
}

// @ts-ignore: decorator
@inline
function add(address: usize, index: u32, value: f64): void {
  const at = address + (<usize>index << 3);
  store<f64>(at, load<f64>(at) + value);
}

// Both models of one width n: all eight inner products in one sweep over the decoder row (base half, then finetuned half).
// h and r: [2n] f64. Adds f times each to the latent's sums from index 4 on.
function addOneWidth(row: usize, h: usize, r: usize, n: u32, f: f64, sums: usize): void {
  const half4 = <usize>n << 2;
  const half8 = <usize>n << 3;
  let fhb = f64x2.splat(0);
  let fhf = f64x2.splat(0);
  let frb = f64x2.splat(0);
  let frf = f64x2.splat(0);
  let bhb = f64x2.splat(0);
  let bhf = f64x2.splat(0);
  let brb = f64x2.splat(0);
  let brf = f64x2.splat(0);
  const end2 = n & ~1;
  let c: u32 = 0;
  for (; c < end2; c += 2) {
    const at4 = <usize>c << 2;
    const at8 = <usize>c << 3;
    const b = f64x2.promote_low_f32x4(v128.load64_zero(row + at4));
    const d = f64x2.promote_low_f32x4(v128.load64_zero(row + half4 + at4));
    const hb = v128.load(h + at8);
    const hf = v128.load(h + half8 + at8);
    const rb = v128.load(r + at8);
    const rf = v128.load(r + half8 + at8);
    fhb = f64x2.add(fhb, f64x2.mul(d, hb));
    fhf = f64x2.add(fhf, f64x2.mul(d, hf));
    frb = f64x2.add(frb, f64x2.mul(d, rb));
    frf = f64x2.add(frf, f64x2.mul(d, rf));
    bhb = f64x2.add(bhb, f64x2.mul(b, hb));
    bhf = f64x2.add(bhf, f64x2.mul(b, hf));
    brb = f64x2.add(brb, f64x2.mul(b, rb));
    brf = f64x2.add(brf, f64x2.mul(b, rf));
  }
  let b: f64 = 0;
  let d: f64 = 0;
  let hb: f64 = 0;
  let hf: f64 = 0;
  let rb: f64 = 0;
  let rf: f64 = 0;
  if (c < n) {
    const at4 = <usize>c << 2;
    const at8 = <usize>c << 3;
    b = <f64>load<f32>(row + at4);
    d = <f64>load<f32>(row + half4 + at4);
    hb = load<f64>(h + at8);
    hf = load<f64>(h + half8 + at8);
    rb = load<f64>(r + at8);
    rf = load<f64>(r + half8 + at8);
  }
  add(sums, 4, f * (sumLanes(fhb) + d * hb));
  add(sums, 5, f * (sumLanes(fhf) + d * hf));
  add(sums, 6, f * (sumLanes(frb) + d * rb));
  add(sums, 7, f * (sumLanes(frf) + d * rf));
  add(sums, 8, f * (sumLanes(bhb) + b * hb));
  add(sums, 9, f * (sumLanes(bhf) + b * hf));
  add(sums, 10, f * (sumLanes(brb) + b * rb));
  add(sums, 11, f * (sumLanes(brf) + b * rf));
}

// Models of different width: each direction in its own model only; the other sums stay as they are.
function addTwoWidths(row: usize, h: usize, r: usize, widthBase: u32, width: u32, f: f64, sums: usize): void {
  const start4 = <usize>widthBase << 2;
  const start8 = <usize>widthBase << 3;
  const rest = width - widthBase;
  add(sums, 5, f * inner(row + start4, h + start8, rest));
  add(sums, 7, f * inner(row + start4, r + start8, rest));
  add(sums, 8, f * inner(row, h, widthBase));
  add(sums, 10, f * inner(row, r, widthBase));
}

// r [width] f64 = bias + Σ f · decoder row over entries [from, to).
function decodeRow(from: u32, to: u32, latent: usize, code: usize, decoder: usize, bias: usize, width: u32, r: usize): void {
  for (let c: u32 = 0; c < width; c += 1) store<f64>(r + (<usize>c << 3), <f64>load<f32>(bias + (<usize>c << 2)));
  const end2 = width & ~1;
  for (let entry = from; entry < to; entry += 1) {
    const f = <f64>load<f32>(code + (<usize>entry << 2));
    const f2 = f64x2.splat(f);
    const row = decoder + <usize>load<u32>(latent + (<usize>entry << 2)) * (<usize>width << 2);
    let c: u32 = 0;
    for (; c < end2; c += 2) {
      const at = r + (<usize>c << 3);
      const d = f64x2.promote_low_f32x4(v128.load64_zero(row + (<usize>c << 2)));
      v128.store(at, f64x2.add(v128.load(at), f64x2.mul(f2, d)));
    }
    for (; c < width; c += 1) add(r, c, f * <f64>load<f32>(row + (<usize>c << 2)));
  }
}

// Σε², Σh² and Σĥ² over columns [from, to), added to squares[0..2]; h is added to columnSums. Returns what is not finite when any is.
function addFit(h: usize, r: usize, from: u32, to: u32, columnSums: usize, squares: usize): f64 {
  let error: f64 = 0;
  let activation: f64 = 0;
  let reconstruction: f64 = 0;
  for (let c = from; c < to; c += 1) {
    const at = <usize>c << 3;
    const hc = load<f64>(h + at);
    const rc = load<f64>(r + at);
    const e = hc - rc;
    error += e * e;
    activation += hc * hc;
    reconstruction += rc * rc;
    store<f64>(columnSums + at, load<f64>(columnSums + at) + hc);
  }
  add(squares, 0, error);
  add(squares, 1, activation);
  add(squares, 2, reconstruction);
  return error + activation + reconstruction;
}

// Adds rows to the sums of one document group. x [nRows, width] f32, base columns first; flags [nRows] u8: class (0 ordinary,
// 1 norm outlier, 2 BOS) + 4 on template tokens. sums [nLatents, stride] f64, indices as SUM, of ordinary rows.
// columnSums [3, width] f64 and squares [3, 2, 3] f64 by class. scratch [2 · width] f64. Returns 1 + the first row with a number
// that is not finite (nothing after it is added), 0 when all are finite.
export function measureRows(
  nRows: u32,
  x: usize,
  flags: usize,
  rowStart: usize,
  latent: usize,
  code: usize,
  decoder: usize,
  bias: usize,
  widthBase: u32,
  width: u32,
  sums: usize,
  stride: u32,
  columnSums: usize,
  squares: usize,
  scratch: usize,
): u32 {
  const h = scratch;
  const r = scratch + (<usize>width << 3);
  const isOneWidth = widthBase * 2 == width;
  for (let i: u32 = 0; i < nRows; i += 1) {
    const xRow = x + <usize>i * (<usize>width << 2);
    for (let c: u32 = 0; c < width; c += 1) store<f64>(h + (<usize>c << 3), <f64>load<f32>(xRow + (<usize>c << 2)));
    const from = load<u32>(rowStart + (<usize>i << 2));
    const to = load<u32>(rowStart + (<usize>(i + 1) << 2));
    decodeRow(from, to, latent, code, decoder, bias, width, r);
    const flag = <u32>load<u8>(flags + i);
    const kind = flag & CLASS_MASK;
    const columns = columnSums + <usize>kind * (<usize>width << 3);
    const fit = squares + <usize>kind * 48;
    const total = addFit(h, r, 0, widthBase, columns, fit) + addFit(h, r, widthBase, width, columns, fit + 24);
    if (!isFinite<f64>(total)) return i + 1;
    if (kind != ORDINARY) continue;
    for (let entry = from; entry < to; entry += 1) {
      const j = load<u32>(latent + (<usize>entry << 2));
      const f = <f64>load<f32>(code + (<usize>entry << 2));
      const own = sums + <usize>j * (<usize>stride << 3);
      add(own, 0, 1);
      add(own, 1, f);
      add(own, 2, f * f);
      if ((flag & ON_TEMPLATE) != 0) add(own, 3, f);
      const row = decoder + <usize>j * (<usize>width << 2);
      if (isOneWidth) addOneWidth(row, h, r, widthBase, f, own);
      else addTwoWidths(row, h, r, widthBase, width, f, own);
    }
  }
  return 0;
}
