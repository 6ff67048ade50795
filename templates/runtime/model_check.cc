// Kernels dispatch on dtypes that the build may have left out, so a model is compared
// with the selection before any tensor is allocated.

#include "model_check.h"

#include <cstdio>
#include <cstring>
#include <memory>

#include "graph_check.h"
#include "selected_ops.h"
#include "tensorflow/lite/schema/schema_utils.h"

namespace litesmith {
namespace {

constexpr int kCustom = 32;

const char* DtypeName(int dtype) {
  static const char* const kNames[] = {
      "float32", "float16",    "int32",  "uint8",    "int64",   "string", "bool",   "int16", "complex64",
      "int8",    "float64",    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4"};
  return dtype >= 0 && dtype < 18 ? kNames[dtype] : "unknown";
}

Fit Damaged(const char* what, int index) {
  fprintf(stderr, "error: the model is damaged: %s %d does not exist; copy or convert it again\n", what, index);
  return Fit::kDamaged;
}

// Converters leave codes in the table that no node uses; the interpreter need not resolve them.
std::unique_ptr<bool[]> UsedCodes(const tflite::Model& model) {
  const uint32_t count = model.operator_codes()->size();
  std::unique_ptr<bool[]> used(new bool[count]());
  if (model.subgraphs() == nullptr) return used;
  for (const tflite::SubGraph* subgraph : *model.subgraphs()) {
    if (subgraph->operators() == nullptr) continue;
    for (const tflite::Operator* node : *subgraph->operators()) {
      if (node->opcode_index() < count) used[node->opcode_index()] = true;
    }
  }
  return used;
}

Fit CheckCodes(const tflite::Model& model) {
  if (model.operator_codes() == nullptr) return Fit::kFits;
  const std::unique_ptr<bool[]> used = UsedCodes(model);
  uint32_t index = 0;
  for (const tflite::OperatorCode* entry : *model.operator_codes()) {
    if (!used[index++]) continue;
    const int code = tflite::GetBuiltinCode(entry);
    const char* custom = entry->custom_code() != nullptr ? entry->custom_code()->c_str() : "";
    const SelectedOp* op = FindOp(*entry);
    if (op == nullptr) {
      if (code == kCustom) {
        fprintf(stderr, "error: this program was built without the custom op %s; build it for this model\n", custom);
      } else {
        fprintf(stderr, "error: this program was built without the builtin op %s (code %d); build it for this model\n",
                BuiltinOpName(code), code);
      }
      return Fit::kUnfit;
    }
    if (entry->version() < op->min_version || entry->version() > op->max_version) {
      fprintf(stderr, "error: this program was built for %s version %d to %d, the model has version %d; "
              "build it for this model\n", op->name, op->min_version, op->max_version, entry->version());
      return Fit::kUnfit;
    }
  }
  return Fit::kFits;
}

Fit CheckTensors(const tflite::SubGraph& subgraph, const flatbuffers::Vector<int32_t>* indices, const SelectedOp& op) {
  if (indices == nullptr) return Fit::kFits;
  const int count = subgraph.tensors() != nullptr ? static_cast<int>(subgraph.tensors()->size()) : 0;
  for (const int index : *indices) {
    if (index == -1) continue;  // an optional tensor that was left out
    if (index < 0 || index >= count) return Damaged("tensor", index);
    const int dtype = subgraph.tensors()->Get(index)->type();
    if (dtype < 0 || dtype > 31 || (op.dtypes >> dtype & 1) == 0) {
      fprintf(stderr, "error: this program was built without the dtype %s for %s; build it for this model\n",
              DtypeName(dtype), op.name);
      return Fit::kUnfit;
    }
  }
  return Fit::kFits;
}

// Unlike a node's, a subgraph's inputs and outputs cannot be left out.
Fit CheckEnds(const tflite::SubGraph& subgraph, const flatbuffers::Vector<int32_t>* indices) {
  if (indices == nullptr) return Fit::kFits;
  const int count = subgraph.tensors() != nullptr ? static_cast<int>(subgraph.tensors()->size()) : 0;
  for (const int index : *indices) {
    if (index < 0 || index >= count) return Damaged("tensor", index);
  }
  return Fit::kFits;
}

#ifdef LITESMITH_PRUNED
Fit CheckSparsity(const tflite::SubGraph& subgraph) {
  if (kSparseTensors || subgraph.tensors() == nullptr) return Fit::kFits;
  for (const tflite::Tensor* tensor : *subgraph.tensors()) {
    if (tensor->sparsity() != nullptr) {
      fprintf(stderr, "error: this program was built without sparse tensors, such as %s; build it for this model\n",
              tensor->name() != nullptr ? tensor->name()->c_str() : "one without a name");
      return Fit::kUnfit;
    }
  }
  return Fit::kFits;
}
#endif

#if !defined(LITESMITH_PRUNED) || defined(LITESMITH_KEEP_VERIFIER)
// What FlatbufferIsSound checks of names, which are printed, in programs with upstream's own verifier.
Fit CheckName(const flatbuffers::String* name) {
  if (name == nullptr) return Fit::kFits;
  for (const uint8_t* c = name->Data(); *c != 0; ++c) {
    if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0)) {
      fprintf(stderr, "error: the model is damaged: a name has control characters; copy or convert it again\n");
      return Fit::kDamaged;
    }
  }
  return Fit::kFits;
}

Fit CheckNames(const tflite::Model& model) {
  Fit fit = Fit::kFits;
  const auto check = [&fit](const flatbuffers::String* name) {
    if (fit == Fit::kFits) fit = CheckName(name);
  };
  if (model.operator_codes() != nullptr) {
    for (const tflite::OperatorCode* entry : *model.operator_codes()) check(entry->custom_code());
  }
  if (model.signature_defs() != nullptr) {
    for (const tflite::SignatureDef* signature : *model.signature_defs()) check(signature->signature_key());
  }
  if (model.subgraphs() == nullptr) return fit;
  for (const tflite::SubGraph* subgraph : *model.subgraphs()) {
    if (subgraph->tensors() == nullptr) continue;
    for (const tflite::Tensor* tensor : *subgraph->tensors()) check(tensor->name());
  }
  return fit;
}
#endif

Fit CheckSubgraph(const tflite::Model& model, const tflite::SubGraph& subgraph) {
  for (const auto* indices : {subgraph.inputs(), subgraph.outputs()}) {
    const Fit fit = CheckEnds(subgraph, indices);
    if (fit != Fit::kFits) return fit;
  }
#ifdef LITESMITH_PRUNED
  const Fit sparsity = CheckSparsity(subgraph);
  if (sparsity != Fit::kFits) return sparsity;
#endif
  if (subgraph.operators() == nullptr) return Fit::kFits;
  const int codes = model.operator_codes() != nullptr ? static_cast<int>(model.operator_codes()->size()) : 0;
  for (const tflite::Operator* node : *subgraph.operators()) {
    const int index = static_cast<int>(node->opcode_index());
    if (index < 0 || index >= codes) return Damaged("operator code", index);
    const SelectedOp& op = *FindOp(*model.operator_codes()->Get(index));
    for (const auto* indices : {node->inputs(), node->outputs(), node->intermediates()}) {
      const Fit fit = CheckTensors(subgraph, indices, op);
      if (fit != Fit::kFits) return fit;
    }
  }
  return Fit::kFits;
}

}  // namespace

const SelectedOp* FindOp(const tflite::OperatorCode& code) {
  const int number = tflite::GetBuiltinCode(&code);
  const char* const custom = code.custom_code() != nullptr ? code.custom_code()->c_str() : "";
  for (size_t i = 0; i < kSelectedOpCount; ++i) {
    const SelectedOp& op = kSelectedOps[i];
    if (op.code == number && (number != kCustom || strcmp(op.name, custom) == 0)) return &op;
  }
  return nullptr;
}

Fit CheckModel(const tflite::Model& model, const ModelFile& file) {
#if !defined(LITESMITH_PRUNED) || defined(LITESMITH_KEEP_VERIFIER)
  const Fit names = CheckNames(model);
  if (names != Fit::kFits) return names;
#endif
  const Fit codes = CheckCodes(model);
  if (codes != Fit::kFits) return codes;
  if (model.subgraphs() == nullptr) return Damaged("subgraph", 0);
  for (const tflite::SubGraph* subgraph : *model.subgraphs()) {
    const Fit fit = CheckSubgraph(model, *subgraph);
    if (fit != Fit::kFits) return fit;
  }
  return GraphIsSound(model, file) ? Fit::kFits : Fit::kDamaged;
}

}  // namespace litesmith
