package ngx

import (
	"strconv"

	"github.com/valyala/fasthttp"
)

// PlainErrorPage is the page of an answer that no script made.
func PlainErrorPage(status int) (contentType, body string) {
	title := strconv.Itoa(status)
	if m := fasthttp.StatusMessage(status); m != "" && m != "Unknown Status Code" {
		title += " " + reasonOf(status, m)
	}
	return "text/html", "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title +
		"</h1></center>\r\n</body>\r\n</html>\r\n"
}

// reasonOf spells reasons as nginx does.
func reasonOf(status int, def string) string {
	switch status {
	case 302:
		return "Found"
	case 408:
		return "Request Time-out"
	case 413:
		return "Request Entity Too Large"
	case 414:
		return "Request-URI Too Large"
	case 416:
		return "Requested Range Not Satisfiable"
	case 503:
		return "Service Temporarily Unavailable"
	case 504:
		return "Gateway Time-out"
	}
	return def
}
