#pragma once

#include <set>
#include <string>
#include <string_view>

namespace gantry::controllers {

// Completion indexes of a job, which its status and its policies write as "0,3-5".
using IndexSet = std::set<int>;

// What is no index, or not below `completions`, is left out.
IndexSet ParseIndexes(std::string_view text, int completions);
// "" for the empty set; three and more neighbours become a range.
std::string FormatIndexes(const IndexSet& indexes);

}  // namespace gantry::controllers
