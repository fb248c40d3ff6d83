#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gantry::cli {

// Lines of cells in columns as wide as their widest cell and three spaces, six at least; the last
// column has no end. Widths are remembered from one Take to the next, as kubectl does while it
// watches. Threading: one user.
class TableText {
 public:
  // kubectl's tables; `describe` and `rollout history` use others.
  explicit TableText(size_t padding = 3, size_t min_width = 6)
      : padding_(padding), min_width_(min_width) {}

  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // The rows since the last call, each line with `indent` before it.
  std::string Take(std::string_view indent = {});

 private:
  size_t padding_;
  size_t min_width_;
  std::vector<size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace gantry::cli
