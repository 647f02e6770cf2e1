// The filters, tests and functions that a template finds.
#pragma once

#include <span>

#include "values/function.h"

namespace regard::chat {

const Builtin* find_filter(std::string_view name) noexcept;
const Builtin* find_test(std::string_view name) noexcept;
// range, dict, namespace, raise_exception, strftime_now, ...
std::span<const Builtin> global_functions() noexcept;

// Parts of the table of filters, one a file.
std::span<const Builtin> text_filters() noexcept;
std::span<const Builtin> sequence_filters() noexcept;
std::span<const Builtin> number_filters() noexcept;

}  // namespace regard::chat
