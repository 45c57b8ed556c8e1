// WASM SIMD kernels of the dictionary: everything about a batch that touches only the latents that fired, and Adam.
//
// AssemblyScript, plain 128-bit SIMD: relaxed SIMD is implementation-defined and would break bit-identical resume.
// Each kernel has a readable twin in src/compute/kernels-reference.ts; this side knows pointers and nothing else (no
// allocation, no bounds checks: src/compute/kernels.ts checks lengths before it calls). Pointers are byte addresses of
// f32 or u32 arrays in the one imported memory; `usize` is 32 bits wide.

export * from "./adam";
export * from "./dense";
export * from "./divergence";
export * from "./entries";
export * from "./measure";
export * from "./select";
export * from "./sparse";
export * from "./reduce";
