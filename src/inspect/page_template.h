// The built page, web/dist/inspect.html, as it lies in the program.
#pragma once

#include <string_view>

namespace regard::inspect {

std::string_view page_template() noexcept;  // made by cmake/embed.cmake

}  // namespace regard::inspect
