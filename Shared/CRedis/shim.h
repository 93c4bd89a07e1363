#pragma once
// Formatter and reader only: sockets and TLS are Shared/IO's and Shared/TLS's.
#include <hiredis/hiredis.h>
