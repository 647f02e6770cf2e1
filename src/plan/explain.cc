#include "plan/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "plan/sight.h"
#include "simd/target.h"

namespace regard {
namespace {

std::string_view name_of(Normaliser::Kind kind) {
  using Kind = Normaliser::Kind;
  switch (kind) {
    case Kind::softmax:
      return "softmax";
    case Kind::sigmoid:
      return "sigmoid";
    case Kind::relu:
      return "relu";
    case Kind::sparsemax:
      return "sparsemax";
    case Kind::entmax15:
      return "entmax-1.5";
    case Kind::hardmax:
      return "hardmax";
    default:
      return "Gumbel-softmax";
  }
}

std::string_view name_of(Similarity::Kind kind) {
  using Kind = Similarity::Kind;
  switch (kind) {
    case Kind::dot:
      return "dot product";
    case Kind::bilinear:
      return "bilinear similarity, q mapped by W, then the dot product";
    case Kind::cosine:
      return "cosine, rows and keys divided by their norms, then the dot product";
    case Kind::negative_distance:
      return "negative squared distance, two dimensions added, then the dot product";
    default:
      return "additive similarity, a kernel of its own";
  }
}

std::string mask_in_words(const Setting& setting) {
  std::string words;
  if (setting.band.everything() && !setting.programs.masks()) return "mask: every key";
  words = "mask: ";
  if (!setting.band.everything()) {
    words += "a run of keys for each row, compiled: keys outside it are not touched";
  }
  if (setting.programs.masks()) {
    if (!setting.band.everything()) words += "; and ";
    words += "interpreted a tile at a time where intervals prove it neither empty nor full: " +
             to_string(setting.programs.mask());
  }
  return words;
}

constexpr int64_t kCountAtMost = 200000;  // tiles, for the sake of those who wait for the words

// What the tasks' tiles are to the mask, each tile of each task counted.
struct Tiles {
  int64_t none = 0, all = 0, some = 0;
};
Tiles count_tiles(const Setting& setting, const Cut& cut) {
  Tiles tiles;
  std::vector<Interval> scratch(setting.programs.bounds_size());
  for (std::size_t n = 0; n < setting.segments.size(); ++n) {
    const Segment& segment = setting.segments[n];
    const int64_t rows = setting.rows_of(segment);
    const int64_t of_keys = (segment.keys + kTileKeys - 1) / kTileKeys;
    for (int64_t head = 0; head < setting.shape.kv_heads; ++head) {
      const RowsSight sight(setting, n, head);
      for (int64_t first = 0; first < rows; first += cut.task_rows) {
        const int64_t count = std::min(cut.task_rows, rows - first);
        const Reach reach = sight.reach(first, count);
        TileWalk walk(sight, first, count, 0, segment.keys, scratch);
        int64_t visited = 0;
        for (TileVisit visit = walk.next(); visit.key >= 0; visit = walk.next(), ++visited) {
          const bool whole = visit.sight == Sight::all && reach.all.first <= visit.key &&
                             reach.all.end >= visit.key + visit.keys;
          ++(whole ? tiles.all : tiles.some);
        }
        tiles.none += of_keys - visited;
      }
    }
  }
  return tiles;
}

int64_t all_tiles(const Setting& setting, const Cut& cut) {
  int64_t count = 0;
  for (const Segment& segment : setting.segments) {
    count += (setting.rows_of(segment) + cut.task_rows - 1) / cut.task_rows *
             ((segment.keys + kTileKeys - 1) / kTileKeys) * setting.shape.kv_heads;
  }
  return count;
}

std::string tiles_in_words(const Setting& setting, const Cut& cut) {
  if (setting.band.everything() && !setting.programs.masks()) return "";
  const int64_t count = all_tiles(setting, cut);
  if (count > kCountAtMost) return fmt::format("{} tiles of all tasks, not counted\n", count);
  const Tiles tiles = count_tiles(setting, cut);
  return fmt::format(
      "{} tiles of all tasks: {} skipped, their keys never loaded; {} without mask work; {} "
      "mixed\n",
      count, tiles.none, tiles.all, tiles.some);
}

}  // namespace

std::string explain(const Setting& setting, const Cut& cut, const SharedPrefix& shared,
                    int64_t workspace_bytes) {
  const AttentionOptions& options = setting.recipe.options;
  int64_t rows = 0;
  for (const Segment& segment : setting.segments) rows += segment.rows;
  std::string text = fmt::format(
      "{} attention of the {}, scale {}: {} sequences, {} rows, up to {} keys\n{}\n",
      name_of(options.normaliser.kind), name_of(options.similarity.kind), setting.recipe.scale,
      setting.segments.size(), rows, cut.most_keys, mask_in_words(setting));
  if (!setting.recipe.score.empty()) {
    text += "score: interpreted a tile at a time: " + to_string(setting.recipe.score) + "\n";
  }
  if (!setting.recipe.weight.empty()) {
    text += fmt::format("weights: interpreted a tile at a time, {}: {}\n",
                        setting.recipe.weight_is_linear ? "in the same pass, as it is linear"
                                                        : "when all scores of a row are known",
                        to_string(setting.recipe.weight));
  }
  text += fmt::format(
      "target {}; {} query heads share each of {} key/value heads and are packed into one block\n"
      "tiles of {} keys, state restarted every {} keys; {} tasks of up to {} rows\n",
      name(active_target()), setting.group, setting.shape.kv_heads, kTileKeys, kChunkKeys,
      cut.tasks.size(), cut.task_rows);
  text += tiles_in_words(setting, cut);
  if (setting.two_passes) {
    text += fmt::format("two passes: the scores of {} rows are kept until all are known\n",
                        cut.task_rows);
  }
  text += !cut.joins.empty()
              ? "few rows and many keys: chunks of keys are shared out, and merged in order\n"
          : cut.split || setting.two_passes
              ? "each task walks all its keys\n"
              : "each task walks all its keys, because there are enough tasks for every thread\n";
  if (shared.keys() > 0) {
    text += fmt::format(
        "the first {} keys are attended once for all sequences, {} tasks of up to {} packed rows\n",
        shared.keys(), shared.cut().tasks.size(), shared.cut().task_rows);
  } else if (shared.wanted() > 0 && !shared.reason().empty()) {
    text += fmt::format("{} shared keys are attended by each sequence: {}\n", shared.wanted(),
                        shared.reason());
  }
  text += fmt::format("workspace {} bytes", workspace_bytes);
  return text;
}

}  // namespace regard
