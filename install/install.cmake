# What a package holds. The root CMakeLists.txt includes this where the programs are built.
install(TARGETS weir-switchd RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
install(TARGETS weirctl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Under any prefix systemd looks in lib, never in lib64 or an architecture's own.
install(FILES install/sysusers.d/weir.conf DESTINATION lib/sysusers.d)
install(FILES install/tmpfiles.d/weir.conf DESTINATION lib/tmpfiles.d)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(FILES install/weirctl.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
	RENAME weirctl)
foreach(page IN LISTS WEIR_MAN_PAGES)
	string(REGEX REPLACE ".*\\.([0-9])$" "\\1" section ${page})
	install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

# Written when it is installed: `cmake --install --prefix` may name another place than the build did.
install(CODE "
	set(WEIR_BIN \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
	set(WEIR_SBIN \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SBINDIR}\")
	set(WEIR_DOC \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DOCDIR}\")
	set(unit \"\${CMAKE_INSTALL_PREFIX}/lib/systemd/system/weir-switchd.service\")
	message(STATUS \"Installing: \$ENV{DESTDIR}\${unit}\")
	configure_file(\"${PROJECT_SOURCE_DIR}/install/weir-switchd.service.in\"
		\"\$ENV{DESTDIR}\${unit}\" @ONLY)
")

# weir-switchd reads /etc/weir/weir.yaml under any prefix. Never over what somebody has written.
install(CODE "
	set(config \"\$ENV{DESTDIR}/etc/weir/weir.yaml\")
	if(NOT EXISTS \"\${config}\")
		message(STATUS \"Installing: \${config}\")
		configure_file(\"${PROJECT_SOURCE_DIR}/examples/weir.yaml\" \"\${config}\" COPYONLY)
	endif()
")
