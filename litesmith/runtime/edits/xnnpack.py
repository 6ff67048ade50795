"""Textual changes of XNNPACK's files, made when its archive is unpacked."""

from __future__ import annotations

from litesmith.runtime.edits.patch import Patch, plain

# XNNPACK's optimiser of subgraphs rewrites them in many ways, of which few apply to what the delegate
# defines: half precision (which would give different answers), sparse and nested layouts, tables for chains
# of quantised operators, packed inputs.  Programs keep the removal of unused nodes, the fusion of paddings
# and copies, and that of clamps, so that what remains can be predicted: see
# litesmith/predict/xnnpack/subgraph.py.
_OPTIMISER = """  // Clamps are merged into the nodes before them.
  for (bool litesmith_again = true; litesmith_again;) {
    size_t litesmith_changes = 0;
    for (uint32_t node_id = 0; node_id < subgraph->num_nodes; node_id++) {
      const struct xnn_node* node = &subgraph->nodes[node_id];
      if (!is_clamp(node)) continue;
      const struct xnn_value* source = &subgraph->values[node->inputs[0]];
      const struct xnn_value* target = &subgraph->values[node->outputs[0]];
      // A pool does not scale its values.
      if (source->producer != XNN_INVALID_NODE_ID &&
          subgraph->nodes[source->producer].type == xnn_node_type_max_pooling_2d &&
          xnn_datatype_is_quantized(source->datatype) &&
          (source->quantization.scale != target->quantization.scale ||
           source->quantization.zero_point != target->quantization.zero_point)) {
        continue;
      }
      XNN_RETURN_IF_ERROR(optimize_common_subgraphs_merge_clamps(subgraph, node_id, &litesmith_changes));
    }
    litesmith_again = litesmith_changes != 0;
    if (litesmith_again) xnn_subgraph_clean_up(subgraph);
  }
  return xnn_status_success;
}
"""

_XNNPACK_OPTIMISER = (
    Patch(
        path="src/subgraph.c",
        find=r"    xnn_subgraph_fuse_unary_quantized_into_lut\(subgraph\);\n",
        replace="",
    ),
    Patch(
        path="src/subgraph.c",
        find=(
            r"  const struct xnn_hardware_config\* hardware_config =\n      xnn_init_hardware_config\(\);\n"
            r"  if \(hardware_config == NULL\) \{\n    xnn_log_error\(\"failed to get hardware config\"\);"
            r"[\s\S]*?\n\}\n"
        ),
        replace=plain(_OPTIMISER),
    ),
    # Rows are summed for 2-bit weights only, which the delegate does not take.
    Patch(
        path="src/runtime.c",
        find=r"  status = xnn_subgraph_rewrite_for_row_sum\(subgraph\);\n(  if [^}]*\}\n)",
        replace="",
    ),
    Patch(
        path="src/runtime.c",
        find=(
            r"  XNN_IF_ERROR_GOTO\(error, xnn_subgraph_alias_fp16_fp32_fallback_data\(\n"
            r"\s+subgraph, weights_cache\)\);\n"
        ),
        replace="",
    ),
    # A node whose result is not used must not end the program.
    Patch(path="src/subgraph.c", find=r'xnn_log_fatal\(\s*"Node %u \(produced by[^;]*;', replace=""),
)

# Fingerprints say whether packed weights in a file are those of another version.  To make one, XNNPACK packs
# made-up weights for each kind of operator while the model is loaded.  Programs have no such file.
_NO_FINGERPRINTS = (
    Patch(
        path="src/operators/convolution-nhwc.c",
        find=r"  status = xnn_fingerprint_convolution2d_nhwc\(context->fingerprint_id\);\n(  if [^}]*\}\n)",
        replace="",
    ),
    Patch(
        path="src/operators/convolution-nhwc.c",
        find=r"  status = compute_fingerprint_id\(variant, context\);\n(  if [^}]*\}\n)",
        replace="",
    ),
    *(
        Patch(
            path=f"src/operators/{name}.c",
            find=r"  if \(context->should_fingerprint\) \{\n[^}]*\}\n",
            replace="",
        )
        for name in ("deconvolution-nhwc", "fully-connected-nc")
    ),
)

# A configuration that is not in the program is the constant NULL: the functions for it are left out, too.
# The one for few output channels (nr2) is never in it.
_KNOWN_CONFIGS = (
    Patch(
        path="src/operators/fully-connected-nc.c",
        find=r"(      \*variant = &\w+;\n)(      context->gemm_config = (xnn_init_\w+_config\([^)]*\));\n)",
        replace=r"      if (\3 == NULL) break;\n\1\2",
    ),
    Patch(
        path="src/operators/deconvolution-nhwc.c",
        find=r"(      context->gemm_config = (xnn_init_\w+_config\([^)]*\));\n)(      variant_tmp = &\w+;\n)",
        replace=r"      if (\2 == NULL) break;\n\1\3",
    ),
    Patch(
        path="src/operators/deconvolution-nhwc.c",
        find=r"      if \(context->gemm_config == NULL \|\| gemm_nr2_config == NULL\) \{\n"
        r"\s+context->gemm_config = NULL;\n",
        replace="      if (context->gemm_config == NULL || gemm_nr2_config == NULL) {\n",
    ),
    Patch(
        path="src/operators/convolution-nhwc.c",
        find=r"if \(gemm_nr2_config->minmax\.igemm\[",
        replace="if (gemm_nr2_config != NULL && gemm_nr2_config->minmax.igemm[",
    ),
)

# The memory that XNNPACK allocates for weights and for values between its nodes is counted, for --json.
_COUNTED_MEMORY = (
    Patch(
        path="src/operator-utils.c",
        find=r"(?=    op->packed_weights\.pointer = xnn_allocate_\w+\(aligned_weights_size\);)",
        replace="    extern size_t litesmith_packed_weights;\n"
        "    litesmith_packed_weights += aligned_weights_size;\n",
    ),
    Patch(
        path="src/runtime.c",
        find=r"(?=    runtime->workspace->size = mem_arena_size;)",
        replace="    extern size_t litesmith_workspace;\n"
        "    litesmith_workspace += mem_arena_size - runtime->workspace->size;\n",
    ),
)

# Slower kernels whose answers are the same on every CPU: programs never ask for them.
_NO_CONSISTENT_ARITHMETIC = tuple(
    Patch(
        path=f"src/configs/{name}-config.c",
        find=r"  init_\w+_impl\(&\w+\[consistent_config\], true\);\n",
        replace="",
    )
    for name in ("gemm", "raddstoreexpminusmax", "unary-elementwise")
)

# The kernel computes two channels at once, and the weights are packed for one.
_SCALAR_DEPTHWISE = (
    Patch(
        path="src/configs/dwconv-config.c",
        find=r"(xnn_f32_dwconv_ukernel_25p2c__scalar_acc2\);\n[^\n]*\n"
        r"\s*f32_dwconv_config\[3\]\.channel_tile = )1;",
        replace=r"\g<1>2;",
    ),
)

# XNNPACK makes a matrix product of a convolution of single pixels, and then quantises its float input with a
# scale for each pixel.  TensorFlow Lite's kernels, and upstream's own builds, have one for each image.
_ONE_SCALE_FOR_AN_IMAGE = (
    Patch(
        path="src/subgraph/convolution-2d.c",
        find=(
            r"    if \(group_input_channels \+ group_output_channels > 2\) \{\n"
            r"      if \(input_value->datatype == xnn_datatype_qdint8\) \{\n[\s\S]*?\n      \}\n"
        ),
        replace="    if (group_input_channels + group_output_channels > 2 &&\n"
        "        input_value->datatype != xnn_datatype_qdint8) {\n",
    ),
)

# The compiler may be one for Thumb.
_ARM_ASSEMBLY = (
    Patch(
        path="src/xnnpack/assembly.h",
        find=r"(#elif defined\(__ELF__\)\n  \.macro BEGIN_FUNCTION name\n    \.text\n)",
        replace="\\1#if defined(__arm__)\n    .arm\n#endif\n",
    ),
)

XNNPACK_PRUNING = (
    *_ARM_ASSEMBLY,
    *_SCALAR_DEPTHWISE,
    *_ONE_SCALE_FOR_AN_IMAGE,
    *_XNNPACK_OPTIMISER,
    *_NO_CONSISTENT_ARITHMETIC,
    *_NO_FINGERPRINTS,
    *_KNOWN_CONFIGS,
    *_COUNTED_MEMORY,
    # The arguments of a log message are evaluated although logging is off, and the operator may be missing.
    Patch(path="src/runtime.c", find=r'xnn_log_debug\("reshaping operator[^;]*;', replace=""),
    Patch(path="src/runtime.c", find=r'xnn_log_error\(\s*"Operator #%u: %s failed reshape[^;]*;', replace=""),
)
