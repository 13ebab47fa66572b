package change

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// source parses the packages of the module, each one once. The zero value is ready to use. It is not safe for
// concurrent use.
type source struct {
	set      *token.FileSet
	packages map[string]*pkg // By folder.
}

// pkg is a package without its tests, as this platform builds it.
type pkg struct {
	files map[string]*ast.File // By path.
	decls map[string]decl      // By name; Type.Method for a method.
}

// split returns the folder and the name of a [Change.In].
func split(in string) (folder, name string) {
	slash := strings.LastIndex(in, "/") + 1
	before, name, _ := strings.Cut(in[slash:], ".")
	return in[:slash] + before, name
}

// find returns the declaration or file that a [Change.In] names.
func (s *source) find(in string) (decl, error) {
	if info, err := os.Stat(in); err == nil && info.Mode().IsRegular() && filepath.Ext(in) != ".go" {
		text, err := os.ReadFile(in)
		return decl{file{in, text}, span{0, len(text)}, in}, err
	}
	folder, name := split(in)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return decl{}, fmt.Errorf("there is no package %s, and no file %s%s", folder, in, s.nearestDecl(folder, name))
	}
	p, err := s.load(folder)
	if err != nil {
		return decl{}, err
	}
	d, ok := p.decls[name]
	if !ok {
		return decl{}, fmt.Errorf("there is no %s%s", in, s.nearestDecl(folder, name))
	}
	return d, nil
}

// load parses the package in a folder.
func (s *source) load(folder string) (*pkg, error) {
	if p := s.packages[folder]; p != nil {
		return p, nil
	}
	if s.packages == nil {
		s.set, s.packages = token.NewFileSet(), map[string]*pkg{}
	}
	listed, err := build.ImportDir(folder, 0)
	if err != nil {
		return nil, err
	}
	p := &pkg{files: map[string]*ast.File{}, decls: map[string]decl{}}
	for _, name := range listed.GoFiles {
		file := file{path: path.Join(folder, name)}
		if file.text, err = os.ReadFile(file.path); err != nil {
			return nil, err
		}
		if p.files[file.path], err = s.parse(file); err != nil {
			return nil, err
		}
		for name, node := range declarations(p.files[file.path]) {
			in := s.set.File(node.Pos())
			p.decls[name] = decl{file, span{in.Offset(node.Pos()), in.Offset(node.End())}, folder + "." + name}
		}
	}
	s.packages[folder] = p
	return p, nil
}

func (s *source) parse(f file) (*ast.File, error) {
	return parser.ParseFile(s.set, f.path, f.text, parser.SkipObjectResolution)
}

// declarations returns the declarations of a file, by name.
func declarations(file *ast.File) map[string]ast.Node {
	all := map[string]ast.Node{}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			all[name] = d
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					all[s.Name.Name] = s
				case *ast.ValueSpec:
					for _, name := range s.Names {
						all[name.Name] = s
					}
				}
			}
		}
	}
	return all
}

// receiver returns the name of a receiver's type, without its type parameters.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
