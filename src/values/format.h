// Values put into a text: '%05.2f' % x and '{:>10}'.format(x).
#pragma once

#include "values/function.h"
#include "values/text.h"

namespace regard::chat {

Value format_percent(Run& run, const String& format, const Value& arguments);
Value format_braces(Run& run, const String& format, const Call& call);

}  // namespace regard::chat
