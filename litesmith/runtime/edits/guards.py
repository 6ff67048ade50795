"""Checks that kernels lack: without them, a damaged model makes them read or write outside of tensors.

What the model's file says is checked before it is loaded (``templates/runtime/graph_check.cc``).  These
shapes and values are known only when a node is prepared or run.
"""

from __future__ import annotations

import re

from litesmith.runtime.edits.patch import Patch, plain

_KERNELS = "tensorflow/lite/kernels"


def _after(path: str, text: str, check: str) -> Patch:
    """A check that follows ``text``."""
    return Patch(path=f"{_KERNELS}/{path}", find=re.escape(text), replace=plain(f"{text}{check}"))


def _before(path: str, text: str, check: str) -> Patch:
    """A check ahead of ``text``."""
    return Patch(path=f"{_KERNELS}/{path}", find=re.escape(text), replace=plain(f"{check}{text}"))


# Half of a window, the padding, is held in 16 bits.
_WINDOW_FITS = """  for (int litesmith_axis = 1; litesmith_axis <= 2; ++litesmith_axis) {
    const int64_t litesmith_dilation = litesmith_axis == 1 ? params->dilation_height_factor
                                                           : params->dilation_width_factor;
    TF_LITE_ENSURE(context, SizeOfDimension(filter, litesmith_axis) > 0);
    TF_LITE_ENSURE(context, (SizeOfDimension(filter, litesmith_axis) - 1) * litesmith_dilation < 65536);
  }
"""

_CONVOLUTIONS = (
    # The kernel divides by the number of groups, and by the filters in each.
    _after(
        "conv.cc",
        "  data->groups = input_channel / filter_input_channel;\n",
        "  TF_LITE_ENSURE(context, data->groups > 0);\n"
        "  TF_LITE_ENSURE_EQ(context, SizeOfDimension(filter, 0) % data->groups, 0);\n"
        "  TF_LITE_ENSURE(context, SizeOfDimension(filter, 0) > 0);\n",
    ),
    _after("conv.cc", "  TF_LITE_ENSURE(context, params->dilation_width_factor > 0);\n", _WINDOW_FITS),
    _after(
        "depthwise_conv.cc", "  TF_LITE_ENSURE(context, params->dilation_width_factor > 0);\n", _WINDOW_FITS
    ),
)

_STRIDED_SLICE = (
    # The parameters have room for five dimensions.
    _after(
        "strided_slice.cc",
        "  TF_LITE_ENSURE_EQ(context, NumElements(op_context.begin),\n"
        "                    NumElements(op_context.end));\n",
        "  TF_LITE_ENSURE_EQ(context, NumElements(op_context.begin),\n"
        "                    NumElements(op_context.strides));\n"
        "  TF_LITE_ENSURE(context, NumElements(op_context.begin) <= 5);\n"
        "  int litesmith_dims = op_context.input_dims;\n"
        "  for (int i = 0; i < NumElements(op_context.begin); ++i) {\n"
        "    litesmith_dims += (op_context.params->new_axis_mask &\n"
        "                       ~op_context.params->ellipsis_mask) >> i & 1;\n"
        "  }\n"
        "  TF_LITE_ENSURE(context, litesmith_dims <= 5);\n",
    ),
    # With an offset, the output has the size that is asked for, and the kernel copies what is there.
    _after(
        "strided_slice.cc",
        "  StridedSliceParams op_params = BuildStridedSliceParams(&op_context, true);\n",
        "  if (op_params.offset) {\n"
        "    for (int i = 0; i < op_context.effective_input_shape.DimensionsCount(); ++i) {\n"
        "      if (op_params.shrink_axis_mask & (1 << i)) continue;\n"
        "      const int litesmith_start = ::tflite::strided_slice::StridedSliceStartForAxis(\n"
        "          op_params, op_context.effective_input_shape, i);\n"
        "      TF_LITE_ENSURE_EQ(context, op_params.stop_indices[i],\n"
        "                        ::tflite::strided_slice::StridedSliceEndForAxis(\n"
        "                            op_params, op_context.effective_input_shape, i,\n"
        "                            litesmith_start) - litesmith_start);\n"
        "    }\n"
        "  }\n",
    ),
)

_DETECTION = (
    # The kernel counts boxes only, and writes as many detections as the options say.
    _before(
        "detection_postprocess.cc",
        "  // number of detected boxes\n  const int num_detected_boxes =\n",
        "  const int litesmith_boxes = SizeOfDimension(input_box_encodings, 1);\n"
        "  TF_LITE_ENSURE_EQ(context, SizeOfDimension(input_class_predictions, 1), litesmith_boxes);\n"
        "  TF_LITE_ENSURE_EQ(context, SizeOfDimension(input_anchors, 0), litesmith_boxes);\n"
        "  TF_LITE_ENSURE_EQ(context, SizeOfDimension(input_anchors, 1), kNumCoordBox);\n"
        "  TF_LITE_ENSURE_TYPES_EQ(context, input_anchors->type, input_box_encodings->type);\n"
        "  TF_LITE_ENSURE(context, op_data->num_classes > 0);\n"
        "  TF_LITE_ENSURE(context, op_data->max_detections > 0 && op_data->max_detections <= 65536);\n"
        "  TF_LITE_ENSURE(context, op_data->max_classes_per_detection > 0 &&\n"
        "                              op_data->max_classes_per_detection <=\n"
        "                                  65536 / op_data->max_detections);\n",
    ),
)

# Kernels count the elements of a tensor in int.
_ELEMENTS = (
    Patch(
        path="tensorflow/lite/util.cc",
        find=re.escape('                     "BytesRequired number of elements overflowed.\\n");\n'),
        replace=plain(
            '                     "BytesRequired number of elements overflowed.\\n");\n'
            "  TF_LITE_ENSURE(context_, count <= 2147483647);\n"
        ),
    ),
)

GUARDS = (*_CONVOLUTIONS, *_STRIDED_SLICE, *_DETECTION, *_ELEMENTS)
