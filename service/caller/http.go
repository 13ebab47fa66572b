package caller

import "net/http"

// Values returns the values of a header by its name, like [http.Header.Values]. For the names of this package it
// allocates nothing: net/http would canonicalize each of them every time.
func Values(header http.Header) func(name string) []string {
	return func(name string) []string {
		if form, ok := httpForm[name]; ok {
			return header[form]
		}
		return header.Values(name)
	}
}

// httpForm maps the names of this package to the form that net/http keeps them in.
var httpForm = func() map[string]string {
	forms := map[string]string{}
	for _, name := range []string{
		HeaderAuthorization, HeaderUserID, HeaderDate, HeaderLanguage, HeaderRequestID, HeaderTraceParent, HeaderCallerToken,
		HeaderForwardedFor,
	} {
		forms[name] = http.CanonicalHeaderKey(name)
	}
	return forms
}()
