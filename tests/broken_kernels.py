"""Kernels with a mistake: the real kernel runs, and what it reads or writes is changed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from litesmith.build.project import Project
from litesmith.runtime.engines.interpreter.sources import REGISTRATION

_HELPERS = """
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

TfLiteRegistration* Right();

struct View {
  TfLiteTensor* tensor;
  int Dim(int from_end) const {
    const int at = tensor->dims->size - from_end;
    return at < 0 ? 1 : tensor->dims->data[at];
  }
  int Channels() const { return Dim(1); }
  int Columns() const { return Dim(2); }
  int Rows() const { return Dim(3); }
  int Size() const {
    int count = 1;
    for (int i = 0; i < tensor->dims->size; ++i) count *= tensor->dims->data[i];
    return count;
  }
  size_t Width() const { return tensor->bytes / Size(); }
  int8_t* Int8() const { return tensor->data.int8; }
  float* Float() const { return tensor->data.f; }
  std::vector<char> Copy() const { return {tensor->data.raw, tensor->data.raw + tensor->bytes}; }
  void Restore(const std::vector<char>& bytes) const { memcpy(tensor->data.raw, bytes.data(), bytes.size()); }
};

View Input(TfLiteContext* context, TfLiteNode* node, int i) {
  return {&context->tensors[node->inputs->data[i]]};
}
View Output(TfLiteContext* context, TfLiteNode* node) { return {&context->tensors[node->outputs->data[0]]}; }

// Whether this is the node with the number kChosen among those of the op, in the order in which they ran.
bool Chosen(TfLiteNode* node) {
  static std::vector<TfLiteNode*> seen;
  if (std::find(seen.begin(), seen.end(), node) == seen.end()) seen.push_back(node);
  return seen.size() > kChosen && seen[kChosen] == node;
}

TfLiteStatus Broken(TfLiteContext* context, TfLiteNode* node) {
  const auto real = Right()->invoke;
  if (!Chosen(node)) return real(context, node);
  const View in = Input(context, node, 0), out = Output(context, node);
  (void)in;
  (void)out;
%s
}

TfLiteRegistration* Wrapped() {
  static TfLiteRegistration made = *Right();
  made.invoke = Broken;
  return &made;
}

}  // namespace
"""

_AFTER = """  const TfLiteStatus status = real(context, node);
  if (status != kTfLiteOk) return status;
%s
  return status;"""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A mistake in one node: the one with the number ``chosen`` among those of ``op`` in the model ``model``.

    ``body`` is C++ that runs the real kernel as ``real(context, node)``; with ``after``, what comes after it.
    """

    name: str
    model: str
    op: str
    chosen: int
    body: str
    after: bool = True

    def broken(self, project: Project) -> Project:
        """The project with this mistake."""
        text = project.files[REGISTRATION]
        registration = f"::tflite::ops::builtin::Register_{self.op}()"
        assert text.count(registration) == 1, self.op
        body = _AFTER % self.body if self.after else self.body
        helpers = f"namespace {{ constexpr size_t kChosen = {self.chosen}; }}\n" + _HELPERS % body
        place = text.index("void RegisterSelectedOps")
        changed = text[:place] + helpers + text[place:].replace(registration, "Wrapped()")
        changed += f"\nnamespace {{ TfLiteRegistration* Right() {{ return {registration}; }} }}\n"
        return dataclasses.replace(project, files={**project.files, REGISTRATION: changed})


MISTAKES = (
    Mistake(
        name="one step in one channel",
        model="integers",
        op="CONV_2D",
        chosen=1,
        body="""  for (int i = 2; i < out.Size(); i += out.Channels())
    out.Int8()[i] += out.Int8()[i] < 127 ? 1 : -1;""",
    ),
    Mistake(
        name="one step in all of a depthwise convolution",
        model="integers",
        op="DEPTHWISE_CONV_2D",
        chosen=1,
        body="  for (int i = 0; i < out.Size(); ++i) out.Int8()[i] += out.Int8()[i] < 127 ? 1 : 0;",
    ),
    Mistake(
        name="int8 read as uint8",
        model="integers",
        op="CONV_2D",
        chosen=2,
        after=False,
        body="""  const std::vector<char> kept = in.Copy();
  for (int i = 0; i < in.Size(); ++i) in.Int8()[i] = in.Int8()[i] < 0 ? 127 : in.Int8()[i];
  const TfLiteStatus status = real(context, node);
  in.Restore(kept);
  return status;""",
    ),
    Mistake(
        name="rows and columns exchanged",
        model="integers",
        op="CONV_2D",
        chosen=0,
        body="""  const std::vector<char> kept = out.Copy();
  const size_t pixel = out.Channels() * out.Width();
  const int n = out.Rows();
  for (int r = 0; r < n; ++r)
    for (int c = 0; c < n; ++c)
      memcpy(out.tensor->data.raw + (r * n + c) * pixel, &kept[(c * n + r) * pixel], pixel);""",
    ),
    Mistake(
        name="a row that is not written",
        model="inverted_residuals",
        op="CONV_2D",
        chosen=6,
        after=False,
        body="""  const std::vector<char> before = out.Copy();
  const TfLiteStatus status = real(context, node);
  const size_t row = out.tensor->bytes / out.Rows();
  memcpy(out.tensor->data.raw, before.data(), row);
  return status;""",
    ),
    Mistake(
        name="a stale scratch buffer",
        model="inverted_residuals",
        op="DEPTHWISE_CONV_2D",
        chosen=4,
        after=False,
        body="""  const std::vector<char> kept = in.Copy();
  for (int i = 0; i < in.Columns() * in.Channels(); ++i) in.Float()[i] = 0;
  const TfLiteStatus status = real(context, node);
  in.Restore(kept);
  return status;""",
    ),
    Mistake(
        name="the last input channel left out",
        model="inverted_residuals",
        op="CONV_2D",
        chosen=9,
        after=False,
        body="""  const std::vector<char> kept = in.Copy();
  for (int i = in.Channels() - 1; i < in.Size(); i += in.Channels()) in.Float()[i] = 0;
  const TfLiteStatus status = real(context, node);
  in.Restore(kept);
  return status;""",
    ),
    Mistake(
        name="a bias of another channel",
        model="inverted_residuals",
        op="DEPTHWISE_CONV_2D",
        chosen=2,
        body="""  const float* bias = Input(context, node, 2).Float();
  for (int i = 0; i < out.Size(); i += out.Channels()) out.Float()[i] += bias[1] - bias[0];""",
    ),
    Mistake(
        name="two channels exchanged",
        model="inverted_residuals",
        op="CONV_2D",
        chosen=12,
        body="""  for (int i = 0; i < out.Size(); i += out.Channels())
    std::swap(out.Float()[i], out.Float()[i + 1]);""",
    ),
    Mistake(
        name="sums kept in half precision",
        model="inverted_residuals",
        op="CONV_2D",
        chosen=5,
        body="""  for (int i = 0; i < out.Size(); ++i) {
    uint32_t bits;
    memcpy(&bits, &out.Float()[i], sizeof(bits));
    bits &= 0xFFFFE000;
    memcpy(&out.Float()[i], &bits, sizeof(bits));
  }""",
    ),
    Mistake(
        name="a mean of one element too few",
        model="inverted_residuals",
        op="MEAN",
        chosen=0,
        body="""  const int n = in.Rows() * in.Columns();
  for (int i = 0; i < out.Size(); ++i) out.Float()[i] *= static_cast<float>(n) / (n - 1);""",
    ),
    Mistake(
        name="two scales exchanged in a hybrid convolution",
        model="dynamic_range",
        op="CONV_2D",
        chosen=1,
        body="  for (int i = 0; i < out.Size(); i += out.Channels()) out.Float()[i] *= 1.02f;",
    ),
    Mistake(
        name="a column too far to the right",
        model="dynamic_range",
        op="DEPTHWISE_CONV_2D",
        chosen=1,
        body="""  const size_t pixel = out.Channels() * out.Width();
  memmove(out.tensor->data.raw + pixel, out.tensor->data.raw, out.tensor->bytes - pixel);""",
    ),
    Mistake(
        name="an element of a sum twice",
        model="inverted_residuals",
        op="ADD",
        chosen=1,
        body="  out.Float()[5] += in.Float()[5];",
    ),
)
"""A dozen mistakes and two more, each in one node."""

SHARED_MEMORY = Mistake(
    name="memory of a tensor that another node still reads",
    model="inverted_residuals",
    op="DEPTHWISE_CONV_2D",
    chosen=2,
    body="""  // The input of the block, which its ADD reads after this node.
  const View kept = {&context->tensors[%d]};
  for (int i = 0; i < kept.Size(); ++i) kept.Float()[i] *= 1.01f;""",
)
"""A mistake with which every node is right by itself; the tensor's index goes into the body."""
